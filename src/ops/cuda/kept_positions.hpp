// Which rows of a value a mask of positions keeps, in kernels. For `.cu` files. Internal to
// src/ops.
#pragma once

#include <maskgrad/tensor/cuda/launch.hpp>
#include <maskgrad/tensor/mask/sequence_mask.hpp>

namespace maskgrad::ops {

/// Of the rows of a value [B, S, ..., D]. Without a mask all are kept.
struct KeptPositions {
  const bool* bits = nullptr;
  std::int64_t rows_of_position = 1;

  KeptPositions(const SequenceMask& mask, const Tensor& x) {
    if (!mask.defined()) return;
    bits = mask.bits_on(x.device()).device_data<bool>();
    rows_of_position = x.shape().slice(2, x.rank() - 1).numel();
  }
  __device__ bool operator[](std::int64_t row) const {
    return !bits || bits[row / rows_of_position];
  }
};

}  // namespace maskgrad::ops
