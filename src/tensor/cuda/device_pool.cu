#include <algorithm>
#include <bit>
#include <functional>
#include <new>

#include <maskgrad/tensor/cuda/device_pool.hpp>
#include <maskgrad/tensor/cuda/environment.hpp>
#include <maskgrad/tensor/cuda/marks.hpp>
#include <maskgrad/tensor/cuda/step_log.hpp>
#include <maskgrad/tensor/cuda/uploads.hpp>

namespace maskgrad::cuda {
namespace {

constexpr const char* kName = "device";
// Blocks of up to the first share slabs of the second; longer ones have a slab each.
constexpr std::size_t kLongestShared = std::size_t{1} << 20, kSharedSlab = std::size_t{8} << 20;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kIsSanitized = true;
#elif defined(__has_feature)
constexpr bool kIsSanitized = __has_feature(address_sanitizer);
#else
constexpr bool kIsSanitized = false;
#endif

// Multiples of 256 up to 2 KiB, then four classes to each doubling.
std::size_t size_class(std::size_t bytes) {
  const std::size_t step = std::max(DevicePool::kAlignment, std::bit_floor(bytes) / 4);
  return std::max<std::size_t>(1, (bytes + step - 1) / step) * step;
}

// nullptr when the device has no more.
std::byte* ask_device(std::size_t bytes) {
  void* memory = nullptr;
  need_device();
  return got_memory(cudaMalloc(&memory, bytes)) ? static_cast<std::byte*>(memory) : nullptr;
}

// In the order of what kernels do with the block.
void mark_in_order(void* block, std::size_t bytes, bool is_handed_out) {
  if constexpr (kGuard > 0) {
    const auto key = bytes_of('m', block, bytes, is_handed_out);
    step_log().give({nullptr, key}, [=] { mark(block, bytes, is_handed_out); });
  }
}

}  // namespace

DevicePool& device_pool() {
  static DevicePool* const pool = new DevicePool;  // tensors may outlive any destructor
  return *pool;
}

bool DevicePool::reuses() { return !kIsSanitized && pools_memory(); }

void* DevicePool::allocate(std::size_t bytes) {
  if (bytes > SIZE_MAX / 8) throw std::bad_alloc();  // so that no sum overflows
  if (!reuses()) return allocate_alone(bytes);
  const std::size_t size = size_class(bytes + kGuard);
  std::vector<std::byte*>& free = free_[size];
  std::byte* block = nullptr;
  if (free.empty()) {
    block = cut(size);
  } else {
    std::pop_heap(free.begin(), free.end(), std::greater<>());
    block = free.back();
    free.pop_back();
  }
  Block& known = blocks_.at(block);
  known.bytes = bytes;
  ++slabs_[known.slab].in_use;
  bytes_in_use_ += size;
  mark_in_order(block, bytes, true);
  return block;
}

void DevicePool::free(void* block) {
  Block& known = blocks_.at(block);
  if (!reuses()) {
    bytes_in_use_ -= known.bytes;
    blocks_.erase(block);
    given_back_.push_back(block);
    if (!step_log().is_open()) end_step();
    return;
  }
  std::vector<std::byte*>& free = free_[known.size];
  free.push_back(static_cast<std::byte*>(block));
  std::push_heap(free.begin(), free.end(), std::greater<>());
  --slabs_[known.slab].in_use;
  bytes_in_use_ -= known.size;
  mark_in_order(block, known.bytes, false);
}

// A block more of the class.
std::byte* DevicePool::cut(std::size_t size) {
  Slab& slab = slab_with(size);
  std::byte* const block = slab.memory + slab.cut;
  slab.cut += size;
  blocks_[block] = {static_cast<std::size_t>(&slab - slabs_.data()), size, 0};
  return block;
}

// One that has room, the lowest one first.
DevicePool::Slab& DevicePool::slab_with(std::size_t size) {
  const bool is_shared = size <= kLongestShared;
  Slab* found = nullptr;
  for (Slab& slab : slabs_) {
    const bool has_room = is_shared && slab.memory && slab.bytes - slab.cut >= size;
    if (has_room && (!found || slab.memory < found->memory)) found = &slab;
  }
  if (found) return *found;
  const std::size_t bytes = is_shared ? kSharedSlab : size;
  std::byte* const memory = ask(bytes);
  const auto gone = std::find_if(slabs_.begin(), slabs_.end(),
                                 [](const Slab& slab) { return slab.memory == nullptr; });
  Slab& slab = gone == slabs_.end() ? slabs_.emplace_back() : *gone;
  slab = {memory, bytes};
  return slab;
}

std::byte* DevicePool::ask(std::size_t bytes) {
  std::byte* memory = ask_device(bytes);
  if (!memory) {
    release_free_slabs();
    memory = ask_device(bytes);
  }
  if (!memory) throw std::bad_alloc();
  mark(memory, bytes, false);
  return memory;
}

// Work that was given to the device may use them still, and graphs may.
void DevicePool::release_free_slabs() {
  step_log().forget();
  synchronize();
  uploads().release_free_slabs();
  const auto is_free = [&](std::size_t slab) { return slabs_[slab].in_use == 0; };
  for (auto& [size, free] : free_) {
    std::erase_if(free, [&](std::byte* block) { return is_free(blocks_.at(block).slab); });
    std::make_heap(free.begin(), free.end(), std::greater<>());
  }
  std::erase_if(blocks_, [&](const auto& block) { return is_free(block.second.slab); });
  for (Slab& slab : slabs_) {
    if (!slab.memory || slab.in_use > 0) continue;
    check_cuda(cudaFree(slab.memory), kName);
    slab = {};
  }
}

void* DevicePool::allocate_alone(std::size_t bytes) {
  void* block = nullptr;
  // At least one byte, as the memory of an empty tensor has an address too.
  if (!got_memory(cudaMallocAsync(&block, bytes + (bytes == 0), stream()))) throw std::bad_alloc();
  bytes_in_use_ += bytes;
  blocks_[block] = {0, bytes, bytes};
  return block;
}

// What can fail here is an earlier error, which the next call reports.
void DevicePool::end_step() {
  for (void* block : given_back_) static_cast<void>(cudaFreeAsync(block, stream()));
  given_back_.clear();
}

}  // namespace maskgrad::cuda
