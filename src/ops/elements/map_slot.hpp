// Where the CUDA kernels of map_each() are. Filled by <maskgrad/ops/cuda/elements.hpp>.
#pragma once

#include <maskgrad/tensor/cuda/kernel_slot.hpp>

namespace maskgrad::ops {

/// y = f(x...) element by element, where x broadcast to y's shape; each X is Tensor.
template <class F, class... X>
inline constinit CudaKernel<void(const F& f, const X&... x, Tensor& y)> kMapEachCuda{"elementwise"};

}  // namespace maskgrad::ops
