// The slots of kernels for products of matrices. Internal to src/ops.
//
// All sums have the CPU's order, but for those that the CPU leaves to OpenBLAS and a device to
// cuBLAS.
#pragma once

#include <span>

#include <maskgrad/ops/cpu/gemm/gemm.hpp>
#include <maskgrad/ops/cpu/gemm/gemm_each.hpp>
#include <maskgrad/tensor/autograd/saved.hpp>
#include <maskgrad/tensor/autograd/variable.hpp>
#include <maskgrad/tensor/cuda/kernel_slot.hpp>

namespace maskgrad::ops {

/// Throws Error unless the device's kernels have tensor cores for TF32.
inline constinit CudaKernel<void()> kTensorCoresCuda{"matmul"};

/// y = op(a) op(b).
inline constinit CudaKernel<void(const MatrixProduct& product, const Tensor& a, const Tensor& b,
                                 Tensor& y)>
    kMatmulCuda{"matmul"};

/// The dimensions in front of both factors, and those of y, to which they broadcast.
struct Batches {
  Shape a, b, y;
};
/// The same for each product of a batch.
inline constinit CudaKernel<void(const MatrixProduct& product, const Batches& batches,
                                 const Tensor& a, const Tensor& b, Tensor& y)>
    kBatchedMatmulCuda{"matmul"};

/// y = op(a) op(b) + bias, or max(., 0) of that.
inline constinit CudaKernel<void(const MatrixProduct& product, const Tensor& a, const Tensor& b,
                                 const Tensor& bias, bool relu, Tensor& y)>
    kLinearCuda{"linear"};
/// y = a^T b, and the sums of b over its rows.
inline constinit CudaKernel<void(const MatrixProduct& product, const Tensor& a, const Tensor& b,
                                 Tensor& y, Tensor& sums)>
    kProductAndSumsCuda{"linear"};
/// The sums of g over its rows, those of the samples of `product`.
inline constinit CudaKernel<void(const RowsTimesEach& product, const Tensor& g, Tensor& sums)>
    kSumOfRowsCuda{"linear"};

/// y[i] = x w[i].
inline constinit CudaKernel<void(const RowsTimesEach& product, const Tensor& x,
                                 std::span<const Variable* const> w, Tensor& y)>
    kStackedMatmulCuda{"stacked_matmul"};
/// y[i] = x w[i] + biases[i].
inline constinit CudaKernel<void(const RowsTimesEach& product, const Tensor& x,
                                 std::span<const Variable* const> w,
                                 std::span<const Variable* const> biases, Tensor& y)>
    kStackedLinearCuda{"stacked_linear"};
/// dx = sum_i g[i] w[i]^T.
inline constinit CudaKernel<void(const RowsTimesEach& product, const Tensor& g,
                                 std::span<const Saved> w, Tensor& dx)>
    kStackedGradientCuda{"stacked_matmul"};

}  // namespace maskgrad::ops
