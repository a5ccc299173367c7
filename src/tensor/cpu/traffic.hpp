// How many bytes tensors have moved: for tests and benchmarks of what a training step should not.
#pragma once

#include <cstddef>
#include <cstdint>

namespace maskgrad {

/// Since the program started, on all threads; the first two in bytes. What an operation writes as
/// its result is not among them; Pool::Stats tells the memory that this takes.
struct Traffic {
  std::uint64_t copied = 0;  // clone(), copy_from(), to(), permuted and expanded tensors
  std::uint64_t filled = 0;  // with one value: zeros(), full(), fill(), gradients set to 0
  std::uint64_t syncs = 0;   // times that the host waited for a device: item(), to(Device{})

  static Traffic so_far();
  /// For whoever copies or fills by a loop of its own.
  static void add_copied(std::size_t bytes);
  static void add_filled(std::size_t bytes);
  static void add_sync();
};

}  // namespace maskgrad
