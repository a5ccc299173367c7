// Products of matrices on a device. For `.cu` files. Internal to src/ops.
#pragma once

#include <maskgrad/ops/cuda/gemm/products.hpp>

namespace maskgrad::ops::cuda_gemm {

/// T is float or double.
template <class T>
void multiply(const Products<T>& products);

}  // namespace maskgrad::ops::cuda_gemm
