// Kernel slots of softmax and its kin, which share kernels. Internal to src/ops.
#pragma once

#include <maskgrad/tensor/cuda/kernel_slot.hpp>
#include <maskgrad/tensor/mask/runs.hpp>

namespace maskgrad::ops {

/// Which places of the rows of x [..., N] are kept, on the host.
struct KeptOfSoftmax {
  Tensor bits;  // bool [..., N]
  Tensor rows;  // int64: which row of the bits goes with each row of x, -1 for none; undefined: its
                // own
  Runs runs;    // the only run of kept places of each row of the bits; lo is -1 where there are
                // several
};

/// Of an operation y = f(x) on rows, and of its gradient dx, which reads y and dy.
template <class... Kept>
struct SoftmaxKernels {
  CudaKernel<void(const Tensor& x, const Kept&... keep, Tensor& y)> forward;
  CudaKernel<void(const Tensor& y, const Tensor& g, const Kept&... keep, Tensor& dx)> gradient;

  constexpr explicit SoftmaxKernels(const char* op) : forward(op), gradient(op) {}
};

inline constinit SoftmaxKernels<> kSoftmaxCuda{"softmax"}, kLogSoftmaxCuda{"log_softmax"};
inline constinit SoftmaxKernels<KeptOfSoftmax> kMaskedSoftmaxCuda{"masked_softmax"},
    kMaskedLogSoftmaxCuda{"masked_log_softmax"};

}  // namespace maskgrad::ops
