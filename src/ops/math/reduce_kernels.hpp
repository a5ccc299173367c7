// Kernel slots of reductions along one axis, with masks and without. Internal to src/ops.
#pragma once

#include <maskgrad/ops/shape/around.hpp>
#include <maskgrad/tensor/cuda/kernel_slot.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::ops {

// x and dx are as `d` says around the axis; best, int64, and y and g have an element for each line.

/// best: where along its line the largest element stands.
inline constinit CudaKernel<void(const Tensor& x, const Around& d, Tensor& best)> kArgmaxCuda{
    "argmax"};

/// Lines of which some elements count.
struct KeptLines : Around {
  Tensor keep;  // bool, of the shape of x, on the host
};

/// best is -1 where nothing is kept.
template <class Lines>
struct MaxKernels {
  CudaKernel<void(const Tensor& x, const Lines& d, Tensor& best, Tensor& y)> forward;
  CudaKernel<void(const Tensor& g, const Around& d, const Tensor& best, Tensor& dx)> gradient;

  constexpr explicit MaxKernels(const char* op) : forward(op), gradient(op) {}
};
inline constinit MaxKernels<Around> kMaxCuda{"max"};
inline constinit MaxKernels<KeptLines> kMaskedMaxCuda{"masked_max"};

inline constinit CudaKernel<void(const Tensor& x, const KeptLines& d, Tensor& y)> kMaskedMeanCuda{
    "masked_mean"};
inline constinit CudaKernel<void(const Tensor& g, const KeptLines& d, Tensor& dx)>
    kMaskedMeanGradientCuda{"masked_mean"};

}  // namespace maskgrad::ops
