// Kernel slots of softmax and its kin, which share kernels. Internal to src/ops.
#pragma once

#include <maskgrad/tensor/cuda/kernel_slot.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::ops {

/// Every place of the rows counts.
struct AllOfRows {};

/// Which places of the rows of x [..., N] are kept. All three are on the host, or where x is.
struct KeptOfRows {
  Tensor bits;  // bool [..., N]
  Tensor rows;  // int64: which row of the bits goes with each row of x, -1 for none; undefined: its
                // own
  Tensor runs;  // int32 [rows of the bits, 2]: the only run [begin, end) of kept places of each
                // row; begin is -1 where there are several

  KeptOfRows to(Device device) const {
    return {bits.to(device), rows.defined() ? rows.to(device) : Tensor(), runs.to(device)};
  }
};

/// Of an operation y = f(x) on rows, and of its gradient dx, which reads y and dy.
template <class Kept>
struct SoftmaxKernels {
  CudaKernel<void(const Tensor& x, const Kept& keep, Tensor& y)> forward;
  CudaKernel<void(const Tensor& y, const Tensor& g, const Kept& keep, Tensor& dx)> gradient;

  constexpr explicit SoftmaxKernels(const char* op) : forward(op), gradient(op) {}
};

inline constinit SoftmaxKernels<AllOfRows> kSoftmaxCuda{"softmax"}, kLogSoftmaxCuda{"log_softmax"};
inline constinit SoftmaxKernels<KeptOfRows> kMaskedSoftmaxCuda{"masked_softmax"},
    kMaskedLogSoftmaxCuda{"masked_log_softmax"};

}  // namespace maskgrad::ops
