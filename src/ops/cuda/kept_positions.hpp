// What a mask of positions keeps of a value, in kernels. For `.cu` files. Internal to src/ops.
#pragma once

#include <maskgrad/tensor/cuda/launch.hpp>
#include <maskgrad/tensor/mask/sequence_mask.hpp>

namespace maskgrad::ops {

/// Of the rows of a value [B, S, ..., D], or of its elements. Without a mask all are kept.
class KeptPositions {
 public:
  static KeptPositions of_rows(const SequenceMask& mask, const Tensor& x) {
    return {mask, x, mask.defined() ? x.shape().slice(2, x.rank() - 1).numel() : 1};
  }
  static KeptPositions of_elements(const SequenceMask& mask, const Tensor& x) {
    return {mask, x, mask.defined() ? x.shape().slice(2, x.rank()).numel() : 1};
  }
  __device__ bool operator[](std::int64_t i) const { return !bits_ || bits_[i / of_position_]; }

 private:
  KeptPositions(const SequenceMask& mask, const Tensor& x, std::int64_t of_position)
      : bits_(mask.defined() ? mask.bits_on(x.device()).device_data<bool>() : nullptr),
        of_position_(of_position) {}

  const bool* bits_;
  std::int64_t of_position_;  // how many there are
};

}  // namespace maskgrad::ops
