// Blocks of slabs, and the copies that fill them.
#include <algorithm>
#include <cstring>
#include <new>
#include <optional>
#include <utility>

#include <maskgrad/tensor/cuda/device_pool.hpp>
#include <maskgrad/tensor/cuda/marks.hpp>
#include <maskgrad/tensor/cuda/uploads.hpp>

namespace maskgrad::cuda {
namespace {

constexpr const char* kName = "device";
constexpr std::size_t kAlignment = 256, kSmallestSlab = std::size_t{1} << 20;  // bytes

// `turns` parts of `bytes` bytes.
std::byte* pinned_memory(std::size_t turns, std::size_t bytes) {
  void* memory = nullptr;
  if (!got_memory(cudaHostAlloc(&memory, turns * bytes, cudaHostAllocDefault)))
    throw std::bad_alloc();
  return static_cast<std::byte*>(memory);
}

}  // namespace

void* upload(const void* from, std::size_t bytes) {
  try {
    return cuda_memory->upload_new(from, bytes);
  } catch (const std::bad_alloc&) {
    fail(kName, "cuda: there is no memory for {} more bytes; {}", bytes, kWayToLessMemory);
  }
}

Uploads& uploads() {
  static Uploads* const uploads = new Uploads;  // blocks may outlive any destructor
  return *uploads;
}

void Uploads::begin_step(std::uint64_t step) {
  turn_ = step % StepLog::kAhead;
  const auto length = [](const Block& block) {
    return block.state == State::kFree ? block.end - block.begin : 0;
  };
  // Where there is most room: blocks that stay are not in between then, and one copy does.
  for (Slab& slab : slabs_) {
    slab.next =
        std::max_element(slab.blocks.begin(), slab.blocks.end(),
                         [&](const Block& a, const Block& b) { return length(a) < length(b); })
            ->begin;
  }
}

void* Uploads::add(const void* from, std::size_t bytes) {
  if (bytes > SIZE_MAX / 8) throw std::bad_alloc();  // so that no sum overflows
  const std::size_t size =
      std::max<std::size_t>(1, (bytes + kGuard + kAlignment - 1) / kAlignment) * kAlignment;
  std::optional<std::size_t> begin;
  auto slab = slabs_.begin();
  while (slab != slabs_.end() && !(begin = take(*slab, size))) ++slab;
  if (!begin) {
    Slab made = make_slab(size);  // for which free slabs may go
    slab = slabs_.insert(slabs_.end(), std::move(made));
    begin = take(*slab, size);
  }
  if (bytes > 0) std::memcpy(slab->pinned[turn_] + *begin, from, bytes);
  slab->added.push_back({*begin, *begin + size, bytes});
  bytes_in_use_ += size;
  if (step_log().starts_at_once()) flush();
  return slab->device + *begin;
}

// Where the first free place from `next` on begins that is large enough, or else the first of all.
std::optional<std::size_t> Uploads::take(Slab& slab, std::size_t size) {
  std::vector<Block>& blocks = slab.blocks;
  const auto is_large_enough = [&](const Block& block) {
    return block.state == State::kFree && block.end - block.begin >= size;
  };
  const auto next = std::find_if(blocks.begin(), blocks.end(),
                                 [&](const Block& block) { return block.begin >= slab.next; });
  auto found = std::find_if(next, blocks.end(), is_large_enough);
  if (found == blocks.end()) found = std::find_if(blocks.begin(), blocks.end(), is_large_enough);
  if (found == blocks.end()) return {};
  const std::size_t begin = found->begin;
  const Block rest = {begin + size, found->end, State::kFree};
  *found = {begin, begin + size, State::kUsed};
  if (rest.begin < rest.end) blocks.insert(found + 1, rest);
  return begin;
}

Uploads::Slab Uploads::make_slab(std::size_t size) {
  Slab slab;
  slab.bytes = (size + kSmallestSlab - 1) / kSmallestSlab * kSmallestSlab;
  slab.blocks = {{0, slab.bytes, State::kFree}};
  need_device();
  std::byte* const pinned = pinned_memory(StepLog::kAhead, slab.bytes);
  for (std::size_t turn = 0; turn < StepLog::kAhead; ++turn) {
    slab.pinned[turn] = pinned + turn * slab.bytes;
  }
  try {
    slab.device = device_pool().ask(slab.bytes);
  } catch (...) {
    static_cast<void>(cudaFreeHost(pinned));
    throw;
  }
  return slab;
}

void Uploads::release_free_slabs() {
  const auto is_free = [](const Slab& slab) {
    return slab.blocks.size() == 1 && slab.blocks[0].state == State::kFree;
  };
  std::erase_if(slabs_, [&](const Slab& slab) {
    if (!is_free(slab)) return false;
    check_cuda(cudaFree(slab.device), kName);
    check_cuda(cudaFreeHost(slab.pinned[0]), kName);
    return true;
  });
}

void Uploads::flush() {
  for (Slab& slab : slabs_) {
    std::vector<Added> added = std::exchange(slab.added, {});  // once, also where a copy fails
    for (const Added& one : added) mark(slab.device + one.begin, one.bytes, true);
    std::sort(added.begin(), added.end(),
              [](const Added& a, const Added& b) { return a.begin < b.begin; });
    for (auto first = added.begin(); first != added.end();) {
      auto last = first;  // of neighbours
      while (last + 1 != added.end() && (last + 1)->begin == last->end) ++last;
      copy(slab, first->begin, last->end);
      first = last + 1;
    }
  }
}

void Uploads::copy(const Slab& slab, std::size_t begin, std::size_t end) const {
  check_cuda(cudaMemcpyAsync(slab.device + begin, slab.pinned[turn_] + begin, end - begin,
                             cudaMemcpyHostToDevice, stream()),
             kName);
}

bool Uploads::free(const void* block) {
  for (Slab& slab : slabs_) {
    const auto offset =
        static_cast<std::size_t>(static_cast<const std::byte*>(block) - slab.device);
    if (offset >= slab.bytes) continue;
    const auto found =
        std::lower_bound(slab.blocks.begin(), slab.blocks.end(), offset,
                         [](const Block& one, std::size_t at) { return one.begin < at; });
    found->state = State::kGivenBack;
    bytes_in_use_ -= found->end - found->begin;
    if (!step_log().is_open()) end_step();
    return true;
  }
  return false;
}

void Uploads::end_step() {
  for (Slab& slab : slabs_) {
    std::vector<Block>& blocks = slab.blocks;
    for (Block& block : blocks) {
      if (block.state != State::kGivenBack) continue;
      mark(slab.device + block.begin, block.end - block.begin, false);
      block.state = State::kFree;
    }
    // Free neighbours become one.
    auto last = blocks.begin();
    for (auto next = last + 1; next != blocks.end(); ++next) {
      if (last->state == State::kFree && next->state == State::kFree) {
        last->end = next->end;
      } else {
        *++last = *next;
      }
    }
    blocks.erase(last + 1, blocks.end());
  }
}

}  // namespace maskgrad::cuda
