// Memory that is handed out again: a training step that repeats asks the system for nothing.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include <maskgrad/tensor/cpu/spin_lock.hpp>

namespace maskgrad {

/// A thread-safe cache of free blocks in size classes. A block given back goes on top of its
/// class's list and is the next one handed out, so a step that allocates the same sizes in the
/// same order gets the same, cache-warm addresses.
///
/// The pool holds at most twice the bytes that were ever in use at once. It ensures that whenever
/// it must ask the system: it first gives back cached blocks, beginning with the size class that
/// was used least recently. So blocks for batches of different lengths do not add up. When the
/// system refuses, the pool gives back all cached blocks and asks once more.
///
/// Under AddressSanitizer every block comes from and goes to the system at once.
class Pool {
 public:
  static constexpr std::size_t kAlignment = 64;  // bytes: a cache line, and a full AVX-512 vector

  struct Stats {
    std::uint64_t system_allocations = 0;  // calls that had to ask the system
    std::uint64_t bytes_handed_out = 0;    // in all, rounded up to the class
    std::size_t bytes_in_use = 0;          // handed out now, rounded up likewise
    std::size_t most_bytes_in_use = 0;     // at any time so far
    std::size_t bytes_cached = 0;          // waiting to be handed out again
  };

  /// The pool of the CPU's memory.
  static Pool& cpu();

  Pool() = default;
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool() { release_cached(); }

  /// A block of at least `bytes` bytes, aligned to kAlignment, contents undefined.
  /// Throws std::bad_alloc when the system has no more.
  void* allocate(std::size_t bytes);
  /// Gives back what allocate(bytes) returned.
  void deallocate(void* block, std::size_t bytes) noexcept;

  Stats stats() const;
  /// Returns every cached block to the system.
  void release_cached() noexcept;

 private:
  struct FreeBlock {
    FreeBlock* next;
  };
  struct SizeClass {
    std::size_t index, bytes;
  };
  struct FreeList {
    FreeBlock* head = nullptr;
    std::size_t bytes = 0;        // of one block
    std::uint64_t last_used = 0;  // bytes_handed_out at that time
  };
  static constexpr std::size_t kClasses = 256;

  // Multiples of 64 up to 1 KiB, then four classes to each doubling: at most a quarter is wasted.
  static SizeClass size_class(std::size_t bytes) {
    constexpr std::size_t kLine = kAlignment;
    constexpr std::size_t kLinear = 1024;
    if (bytes <= kLinear) {
      const std::size_t lines = bytes == 0 ? 1 : (bytes + kLine - 1) / kLine;
      return {lines - 1, lines * kLine};
    }
    const auto log2 = static_cast<std::size_t>(std::bit_width(bytes - 1)) - 1;  // >= 10
    const std::size_t quarters = ((bytes - 1) >> (log2 - 2)) + 1;               // 5..8
    return {kLinear / kLine + (log2 - 10) * 4 + (quarters - 5), quarters << (log2 - 2)};
  }
  void* ask_system(const SizeClass& size);
  void note_most_in_use() {
    if (stats_.bytes_in_use > stats_.most_bytes_in_use) [[unlikely]]
      stats_.most_bytes_in_use = stats_.bytes_in_use;
  }
  FreeBlock* take_surplus();
  FreeBlock* take_cached(std::size_t most_to_keep);
  static void give_back(FreeBlock* blocks) noexcept;

  // Held for a few instructions: never while the system is asked.
  mutable SpinLock lock_;
  std::array<FreeList, kClasses> free_{};
  Stats stats_;
};

}  // namespace maskgrad
