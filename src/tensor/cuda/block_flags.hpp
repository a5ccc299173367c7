// What each block of a kernel says yes or no to, for the host. For `.cu` files.
#pragma once

#include <algorithm>

#include <maskgrad/tensor/cuda/launch.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::cuda {

/// The blocks of a kernel whose threads walk over n elements in strides of the grid: few enough
/// that the host reads a word of each.
inline unsigned blocks_of_stride(std::int64_t n) {
  constexpr unsigned kMost = 2048;
  return std::min(blocks_for(n), kMost);
}

/// A bool for each block.
class BlockFlags {
 public:
  BlockFlags(unsigned blocks, Device device)
      : flags_(Tensor::empty({blocks}, DType::kBool, device)) {}

  bool* data() { return flags_.device_data<bool>(); }
  /// Whether all blocks wrote true. Waits for the device.
  bool all() const {
    const Tensor here = flags_.to(Device{});
    const bool* const flags = here.data<bool>();
    return std::all_of(flags, flags + here.numel(), [](bool flag) { return flag; });
  }

 private:
  Tensor flags_;
};

/// Writes whether `flag` is true for all threads of the block, which all take part.
__device__ inline void write_flag(bool flag, bool* flags) {
  const bool all = __syncthreads_and(flag) != 0;
  if (threadIdx.x == 0) flags[blockIdx.x] = all;
}

/// How many threads the grid has, in kernels with a thread for each element.
__device__ inline std::int64_t thread_count() { return std::int64_t{gridDim.x} * blockDim.x; }

}  // namespace maskgrad::cuda
