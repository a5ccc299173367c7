// The third power of each element.
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>
#include <maskgrad/tensor/cuda/kernel_slot.hpp>

namespace maskgrad::ops {

inline constinit CudaKernel<void(const Tensor& x, Tensor& y)> kCubeCuda{"cube"};
inline constinit CudaKernel<void(const Tensor& x, const Tensor& g, Tensor& dx)> kCubeGradientCuda{
    "cube"};

/// y = x^3, element by element. x: floating, of any shape. Keeps the mask.
/// Throws Error for another dtype.
Variable cube(const Variable& x);

}  // namespace maskgrad::ops
