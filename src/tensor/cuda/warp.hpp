// What the lanes of a warp do together, for `.cu` files. The order of every sum is fixed.
#pragma once

#include <maskgrad/tensor/cuda/launch.hpp>

namespace maskgrad::cuda {

inline constexpr unsigned kAllLanes = 0xffffffffu;

/// Combines each group of `width` lanes, a power of two, in a tree: lane i and lane i + width / 2
/// first. The first lane of a group gets the result, and so do all where combine(a, b) is
/// combine(b, a). All lanes of the warp take part.
template <class T, class Combine>
__device__ T combine_lanes(T x, int width, Combine combine) {
  for (int by = width / 2; by > 0; by /= 2) {
    x = combine(x, __shfl_xor_sync(kAllLanes, x, by));
  }
  return x;
}

/// The sum over each group of lanes, in all of them.
template <class T>
__device__ T sum_of_lanes(T x, int width = 32) {
  return combine_lanes(x, width, [](T a, T b) { return a + b; });
}

}  // namespace maskgrad::cuda
