// What each block of a kernel says yes or no to, for the host. For `.cu` files.
#pragma once

#include <algorithm>

#include <maskgrad/tensor/cuda/launch.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::cuda {

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

}  // namespace maskgrad::cuda
