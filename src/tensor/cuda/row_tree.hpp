// Rows that the threads of a block add, in a balanced tree of their indices. For `.cu` files.
#pragma once

#include <cstdint>

#include <maskgrad/tensor/cuda/launch.hpp>

namespace maskgrad::cuda {

/// x[0] = the sum of x[i * stride] for i = 0 .. count-1. The others are used up. The threads of a
/// block with the same threadIdx.x share a sum. All threads of the block take part with the same
/// count, also those that have no sum: has_sum is false. Ends with a barrier where count > 1.
template <class T>
__device__ void add_rows_in_tree(T* x, std::int64_t count, std::int64_t stride, bool has_sum) {
  for (std::int64_t step = 1; step < count; step *= 2) {
    for (std::int64_t i = threadIdx.y * 2 * step; has_sum && i + step < count;
         i += blockDim.y * 2 * step) {
      x[i * stride] += x[(i + step) * stride];
    }
    __syncthreads();
  }
}

}  // namespace maskgrad::cuda
