// What the lanes of a warp do together, for `.cu` files. The order of every sum is fixed.
#pragma once

#include <maskgrad/tensor/cuda/launch.hpp>

namespace maskgrad::cuda {

inline constexpr unsigned kAllLanes = 0xffffffffu;

/// The sum over each group of `width` lanes, a power of two; the same in all of them. A tree: lane
/// i and lane i + width / 2 first. All lanes of the warp take part.
template <int width = 32, class T>
__device__ T sum_of_lanes(T x) {
  for (int by = width / 2; by > 0; by /= 2) x += __shfl_xor_sync(kAllLanes, x, by);
  return x;
}

}  // namespace maskgrad::cuda
