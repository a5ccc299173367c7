// One product of two matrices on a device. For `.cu` files. Internal to src/ops.
#pragma once

#include <maskgrad/ops/cuda/gemm/multiply.hpp>

namespace maskgrad::ops::cuda_gemm {

/// multiply(), but float32 by product_math().
template <class T>
void multiply_by_math(const Products<T>& products);

/// As ops::multiply_matrices(), for pointers to the device, and float32 by product_math(). cuBLAS
/// has the products that OpenBLAS has on the CPU, where there is cuBLAS, but for those by tf32x3.
/// T is float or double.
template <class T>
void multiply_matrices(const MatrixProduct& product, const T* a, const T* b, T* y,
                       const RowFinish<T>& finish = {});

}  // namespace maskgrad::ops::cuda_gemm
