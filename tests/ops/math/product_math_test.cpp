// The choice of how a device multiplies, in a build without CUDA. tests/cuda has the products.
#include <maskgrad/ops/math/matmul.hpp>
#include <maskgrad/ops/math/product_math.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using ops::ProductMath;
using test::error_of;

TEST(ProductMath, HasNames) {
  for (const ProductMath math : {ProductMath::kFloat32, ProductMath::kTf32, ProductMath::kTf32x3}) {
    EXPECT_EQ(ops::product_math_of(ops::to_string(math)), math);
  }
  EXPECT_EQ(ops::to_string(ProductMath::kTf32x3), "tf32x3");
  EXPECT_EQ(error_of([] { ops::product_math_of("half", "--math"); }),
            "[math] --math must be one of float32, tf32, tf32x3, not 'half'");
}

TEST(ProductMath, OtherThanFloat32NeedsABuildWithCuda) {
  EXPECT_EQ(error_of([] { ops::WithProductMath with(ProductMath::kTf32); }),
            "[device] this build has no CUDA; configure with -DMASKGRAD_CUDA=ON");
  EXPECT_EQ(ops::product_math(), ProductMath::kFloat32);
  const ops::WithProductMath with(ProductMath::kFloat32);
  const Variable x(test::make({2}, {1, 1}));
  EXPECT_EQ(ops::matmul(x, x).item(), 4);
}

}  // namespace
}  // namespace maskgrad
