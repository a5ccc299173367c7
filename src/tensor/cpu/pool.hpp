// Memory that is handed out again: a training step that repeats asks the system for nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <maskgrad/tensor/cpu/spin_lock.hpp>

namespace maskgrad {

/// A thread-safe cache of free blocks in size classes. A block given back goes on top of its
/// class's list and is the next one handed out, so a step that allocates the same sizes in the
/// same order gets the same, cache-warm addresses. Nothing is returned to the system before
/// release_cached(). Under AddressSanitizer every block comes from and goes to the system at once.
class Pool {
 public:
  static constexpr std::size_t kAlignment = 64;  // bytes: a cache line, and a full AVX-512 vector

  struct Stats {
    std::uint64_t system_allocations = 0;  // calls that had to ask the system
    std::uint64_t bytes_handed_out = 0;    // in all, rounded up to the class
    std::size_t bytes_in_use = 0;          // handed out now, rounded up likewise
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
  static constexpr std::size_t kClasses = 256;

  mutable SpinLock lock_;
  std::array<FreeBlock*, kClasses> free_{};
  Stats stats_;
};

}  // namespace maskgrad
