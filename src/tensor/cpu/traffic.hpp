// How many bytes tensors have moved: for tests and benchmarks of what a training step should not.
#pragma once

#include <cstddef>
#include <cstdint>

namespace maskgrad {

/// Counts since the program started, of all threads. `copied` and `filled` are bytes. They leave
/// out the results that operations write; Pool::Stats counts their memory.
struct Traffic {
  std::uint64_t copied = 0;  // clone(), copy_from(), to(), permuted and expanded tensors
  std::uint64_t filled = 0;  // with one value: zeros(), full(), fill(), gradients set to 0
  std::uint64_t syncs =
      0;  // times that the host waited for all that a device does: item(), to(Device{})

  static Traffic so_far();
  /// To be called by code that copies, fills or waits by itself.
  static void add_copied(std::size_t bytes);
  static void add_filled(std::size_t bytes);
  static void add_sync();
};

}  // namespace maskgrad
