// Products of matrices by kernels that a test chooses, in test_products.cu.
#pragma once

#include <maskgrad/ops/cpu/gemm/gemm.hpp>
#include <maskgrad/ops/math/product_math.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::test {

/// A kernel's number, 0 .. kProductKernels-1, and how many groups of terms a piece of a sum has.
struct ProductPlan {
  int kernel;
  std::int64_t groups_of_piece;
};
inline constexpr int kProductKernels = 5;
/// The one that is chosen for a product of float or double, whose a has sums of b besides or not.
ProductPlan plan_of(const ops::MatrixProduct& product, DType dtype, bool has_sums);

/// y = op(a) op(b), of tensors on the device. With `sums` there, the sums of b over its rows too.
void multiply(const ops::MatrixProduct& product, const ProductPlan& plan, const Tensor& a,
              const Tensor& b, Tensor& y, Tensor sums);

/// The same of float32, by tensor cores, in large or in small tiles.
struct MmaPlan {
  bool has_large_tiles;
  std::int64_t groups_of_piece;
};
MmaPlan mma_plan_of(const ops::MatrixProduct& product, ops::ProductMath math);
void multiply_by_tensor_cores(const ops::MatrixProduct& product, ops::ProductMath math,
                              const MmaPlan& plan, const Tensor& a, const Tensor& b, Tensor& y);

}  // namespace maskgrad::test
