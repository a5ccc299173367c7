// What the device was asked for since the program started.
#pragma once

#include <cstddef>
#include <cstdint>

namespace maskgrad {

struct DeviceCounts {
  // Steps, by how the device got them: piece by piece; as a graph that was made of them; as the
  // graph of an earlier one; piece by piece because the host read something within them, the device
  // ran out of memory, or an error ended them.
  std::uint64_t eager = 0, recorded = 0, replayed = 0, broken = 0;
  std::uint64_t allocations = 0;  // of memory that was not there yet, on the device or pinned
  std::size_t bytes_in_use = 0;   // of tensors and uploads now, in sizes of the pool

  std::uint64_t steps() const { return eager + recorded + replayed + broken; }
};

}  // namespace maskgrad
