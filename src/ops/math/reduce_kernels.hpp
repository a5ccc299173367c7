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

inline constinit CudaKernel<void(const Tensor& x, const Around& d, Tensor& best, Tensor& y)>
    kMaxCuda{"max"};
using MaxGradientKernel =
    CudaKernel<void(const Tensor& g, const Around& d, const Tensor& best, Tensor& dx)>;
inline constinit MaxGradientKernel kMaxGradientCuda{"max"}, kMaskedMaxGradientCuda{"masked_max"};

// keep: bool, of the shape of x. It says which elements count.

/// best is -1 where nothing is kept.
inline constinit CudaKernel<void(const Tensor& x, const Tensor& keep, const Around& d, Tensor& best,
                                 Tensor& y)>
    kMaskedMaxCuda{"masked_max"};
inline constinit CudaKernel<void(const Tensor& x, const Tensor& keep, const Around& d, Tensor& y)>
    kMaskedMeanCuda{"masked_mean"};
inline constinit CudaKernel<void(const Tensor& g, const Tensor& keep, const Around& d, Tensor& dx)>
    kMaskedMeanGradientCuda{"masked_mean"};

}  // namespace maskgrad::ops
