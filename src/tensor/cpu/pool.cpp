#include <algorithm>
#include <mutex>
#include <new>
#include <utility>

#include <maskgrad/tensor/cpu/pool.hpp>

namespace maskgrad {
namespace {

// A reused block would hide a use after free from the sanitizer.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kReuse = false;
#elif defined(__has_feature)
constexpr bool kReuse = !__has_feature(address_sanitizer);
#else
constexpr bool kReuse = true;
#endif

constexpr std::align_val_t kAligned{Pool::kAlignment};

}  // namespace

Pool& Pool::cpu() {
  // Never destroyed: tensors with static lifetime may outlive any destructor order.
  static Pool* pool = new Pool;
  return *pool;
}

void* Pool::allocate(std::size_t bytes) {
  if (bytes > SIZE_MAX / 4) throw std::bad_alloc();  // so that no sum overflows
  const SizeClass size = size_class(bytes);
  if constexpr (!kReuse) return ask_system(size);
  {
    const std::lock_guard lock(lock_);
    FreeList& list = free_[size.index];
    stats_.bytes_in_use += size.bytes;
    stats_.bytes_handed_out += size.bytes;
    list.last_used = stats_.bytes_handed_out;
    if (list.head) {
      stats_.bytes_cached -= size.bytes;
      note_most_in_use();
      return std::exchange(list.head, list.head->next);
    }
    list.bytes = size.bytes;
  }
  give_back(take_surplus());
  return ask_system(size);
}

// `size` counts as in use already.
void* Pool::ask_system(const SizeClass& size) {
  void* block = ::operator new(size.bytes, kAligned, std::nothrow);
  if (!block) {
    release_cached();
    block = ::operator new(size.bytes, kAligned, std::nothrow);
  }
  if constexpr (kReuse) {
    const std::lock_guard lock(lock_);
    if (block) {
      ++stats_.system_allocations;
      note_most_in_use();
    } else {
      stats_.bytes_in_use -= size.bytes;
    }
  }
  if (!block) throw std::bad_alloc();
  return block;
}

void Pool::deallocate(void* block, std::size_t bytes) noexcept {
  if (!block) return;
  const SizeClass size = size_class(bytes);
  if constexpr (kReuse) {
    const std::lock_guard lock(lock_);
    stats_.bytes_in_use -= size.bytes;
    stats_.bytes_cached += size.bytes;
    free_[size.index].head = new (block) FreeBlock{free_[size.index].head};
  } else {
    ::operator delete(block, kAligned);
  }
}

Pool::Stats Pool::stats() const {
  const std::lock_guard lock(lock_);
  return stats_;
}

// What is cached beyond what may be held.
Pool::FreeBlock* Pool::take_surplus() {
  const std::lock_guard lock(lock_);
  const std::size_t most_held = 2 * std::max(stats_.most_bytes_in_use, stats_.bytes_in_use);
  return take_cached(most_held - stats_.bytes_in_use);
}

// Called with the lock held. Takes blocks off the lists, one class after another from the one that
// was used least recently on, until no more than `most_to_keep` bytes are cached.
Pool::FreeBlock* Pool::take_cached(std::size_t most_to_keep) {
  FreeBlock* taken = nullptr;
  while (stats_.bytes_cached > most_to_keep) {
    FreeList* oldest = nullptr;
    for (FreeList& list : free_) {
      if (list.head && (!oldest || list.last_used < oldest->last_used)) oldest = &list;
    }
    while (oldest->head && stats_.bytes_cached > most_to_keep) {
      FreeBlock* const block = std::exchange(oldest->head, oldest->head->next);
      block->next = std::exchange(taken, block);
      stats_.bytes_cached -= oldest->bytes;
    }
  }
  return taken;
}

void Pool::give_back(FreeBlock* blocks) noexcept {
  while (blocks) ::operator delete(std::exchange(blocks, blocks->next), kAligned);
}

void Pool::release_cached() noexcept {
  FreeBlock* all = nullptr;
  {
    const std::lock_guard lock(lock_);
    all = take_cached(0);
  }
  give_back(all);
}

}  // namespace maskgrad
