#include <bit>
#include <mutex>
#include <new>

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

struct SizeClass {
  std::size_t index;
  std::size_t bytes;
};

// Multiples of 64 up to 1 KiB, then four classes to each doubling: at most a quarter is wasted.
SizeClass size_class(std::size_t bytes) {
  constexpr std::size_t kLine = Pool::kAlignment;
  constexpr std::size_t kLinear = 1024;
  if (bytes <= kLinear) {
    const std::size_t lines = bytes == 0 ? 1 : (bytes + kLine - 1) / kLine;
    return {lines - 1, lines * kLine};
  }
  const auto log2 = static_cast<std::size_t>(std::bit_width(bytes - 1)) - 1;  // >= 10
  const std::size_t step = std::size_t{1} << (log2 - 2);
  const std::size_t quarters = (bytes + step - 1) / step;  // 5..8
  return {kLinear / kLine + (log2 - 10) * 4 + (quarters - 5), quarters * step};
}

}  // namespace

Pool& Pool::cpu() {
  // Never destroyed: tensors with static lifetime may outlive any destructor order.
  static Pool* pool = new Pool;
  return *pool;
}

void* Pool::allocate(std::size_t bytes) {
  const SizeClass size = size_class(bytes);
  if constexpr (kReuse) {
    const std::lock_guard lock(lock_);
    void* block = free_[size.index];
    if (block) {
      free_[size.index] = free_[size.index]->next;
      stats_.bytes_cached -= size.bytes;
    } else {
      block = ::operator new(size.bytes, std::align_val_t(kAlignment));
      ++stats_.system_allocations;
    }
    stats_.bytes_in_use += size.bytes;
    stats_.bytes_handed_out += size.bytes;
    return block;
  } else {
    return ::operator new(size.bytes, std::align_val_t(kAlignment));
  }
}

void Pool::deallocate(void* block, std::size_t bytes) noexcept {
  if (!block) return;
  const SizeClass size = size_class(bytes);
  if constexpr (kReuse) {
    const std::lock_guard lock(lock_);
    stats_.bytes_in_use -= size.bytes;
    stats_.bytes_cached += size.bytes;
    free_[size.index] = new (block) FreeBlock{free_[size.index]};
  } else {
    ::operator delete(block, std::align_val_t(kAlignment));
  }
}

Pool::Stats Pool::stats() const {
  const std::lock_guard lock(lock_);
  return stats_;
}

void Pool::release_cached() noexcept {
  const std::lock_guard lock(lock_);
  for (FreeBlock*& head : free_) {
    while (head) {
      FreeBlock* next = head->next;
      ::operator delete(head, std::align_val_t(kAlignment));
      head = next;
    }
  }
  stats_.bytes_cached = 0;
}

}  // namespace maskgrad
