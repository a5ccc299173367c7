// How the elements of a tensor on CUDA become another dtype. Internal to src/tensor.
#pragma once

#include <maskgrad/tensor/cuda/kernel_slot.hpp>

namespace maskgrad {

/// y = x in y's dtype; both floating.
inline constinit CudaKernel<void(const Tensor& x, Tensor& y)> kCastCuda{"cast"};

}  // namespace maskgrad
