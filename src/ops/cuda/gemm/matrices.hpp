// One product of two matrices on a device. For `.cu` files. Internal to src/ops.
#pragma once

#include <maskgrad/ops/cuda/gemm/multiply.hpp>

namespace maskgrad::ops::cuda_gemm {

/// As ops::multiply_matrices(), for pointers to the device. cuBLAS has the products that OpenBLAS
/// has on the CPU, where there is cuBLAS. T is float or double.
template <class T>
void multiply_matrices(const MatrixProduct& product, const T* a, const T* b, T* y,
                       const RowFinish<T>& finish = {});

}  // namespace maskgrad::ops::cuda_gemm
