// Products of matrices by kernels that a test chooses, in test_products.cu.
#pragma once

#include <maskgrad/ops/cpu/gemm/gemm.hpp>
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

}  // namespace maskgrad::test
