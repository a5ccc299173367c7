// Products of rows, a few lanes for each. For `.cu` files. Internal to attention.
#pragma once

#include <maskgrad/ops/cuda/index_tree.hpp>
#include <maskgrad/ops/functors/element.hpp>
#include <maskgrad/tensor/cpu/row_sums.hpp>
#include <maskgrad/tensor/cuda/warp.hpp>

namespace maskgrad::ops::attention {

inline constexpr int kLanesOfRow = kLanesOfTerms, kOfRowBlock = kTermsOfBlock;

// Of elements [first, end) every lanes-th, from `lane` on.
template <class T>
__device__ T dot_of_lane(const T* x, const T* y, int first, int end, int lane, int lanes) {
  T sum = 0;
  for (int d = first + lane; d < end; d += lanes) sum = math::multiply_add(x[d], y[d], sum);
  return sum;
}

// The same of n elements, blocks of them in a balanced tree.
template <class T>
__device__ T long_dot_of_lane(const T* x, const T* y, int n, int lane, int lanes) {
  IndexTree<T> blocks;
  for (int first = 0; first < n; first += kOfRowBlock) {
    const int end = n - first < kOfRowBlock ? n : first + kOfRowBlock;
    blocks.add(dot_of_lane(x, y, first, end, lane, lanes), Plus());
  }
  return blocks.total(T{0}, Plus());
}

/// sum_j x[j] y[j] over n elements, in each of `lanes` lanes that stand side by side; they are a
/// power of two, at most 16. Has the bits of a CPU whose vectors have so many lanes; with
/// kLanesOfRow those of row_dot() (cpu/rows/row_kernels.hpp). Requires kLanesOfRow for more than
/// kOfRowBlock elements. All lanes of a warp take part, some perhaps with no elements.
template <class T>
__device__ T dot_of_lanes(const T* x, const T* y, int n, int lanes) {
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  return cuda::sum_of_lanes(n > kOfRowBlock ? long_dot_of_lane(x, y, n, lane, lanes)
                                            : dot_of_lane(x, y, 0, n, lane, lanes),
                            lanes);
}

}  // namespace maskgrad::ops::attention
