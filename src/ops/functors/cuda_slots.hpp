// The slots of kernels that run a functor on each element. Internal to src/ops.
#pragma once

#include <maskgrad/tensor/cuda/kernel_slot.hpp>

namespace maskgrad::ops {

/// A bool tensor of the host among inputs: a functor gets it as a condition for math::select().
struct Conditions {
  const Tensor& tensor;
};

/// y = f(x...) element by element, where x broadcast to y's shape; each X is Tensor or Conditions.
template <class F, class... X>
inline constinit CudaKernel<void(const F& f, const X&... x, Tensor& y)> kElementwiseCuda{
    "elementwise"};

}  // namespace maskgrad::ops
