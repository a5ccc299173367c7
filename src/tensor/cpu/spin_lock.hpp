// A lock for a handful of instructions.
#pragma once

#include <atomic>
#include <thread>

namespace maskgrad {

/// A BasicLockable for very short sections: a waiting thread spins, and yields now and then,
/// instead of sleeping. Taking and leaving it costs less than an uncontended std::mutex.
class SpinLock {
 public:
  void lock() {
    for (int attempt = 1; taken_.test_and_set(std::memory_order_acquire); ++attempt) {
      // Whoever holds it may not be running.
      if (attempt % 64 == 0) std::this_thread::yield();
    }
  }
  void unlock() { taken_.clear(std::memory_order_release); }

 private:
  std::atomic_flag taken_;
};

}  // namespace maskgrad
