// Products of float32 matrices by tensor cores. For `.cu` files. Internal to src/ops.
#pragma once

#include <maskgrad/ops/cuda/gemm/products.hpp>
#include <maskgrad/ops/math/product_math.hpp>

namespace maskgrad::ops::cuda_gemm {

/// How products are computed. It changes no bit.
struct MmaPlan {
  bool has_large_tiles;
  std::int64_t groups_of_piece;  // a power of two
};
/// Chosen from shapes.
MmaPlan mma_plan_of(const Products<float>& products, ProductMath math);

/// As the plan says. Requires that math is kTf32 or kTf32x3, and that products have no row of ones.
void multiply_by_tensor_cores(const Products<float>& products, ProductMath math,
                              const MmaPlan& plan);

/// Products by `math`. Sums of a factor over rows, which products may want besides, are those of
/// float32.
void multiply_by_tensor_cores(const Products<float>& products, ProductMath math);

}  // namespace maskgrad::ops::cuda_gemm
