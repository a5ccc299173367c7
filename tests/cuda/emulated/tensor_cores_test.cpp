// Tensor cores as only an emulated device shows them: other architectures, and what cuBLAS gets.
#include <gmock/gmock.h>

#include <maskgrad/ops/cuda/gemm/cublas.hpp>
#include <maskgrad/ops/math/matmul.hpp>
#include <maskgrad/ops/math/product_math.hpp>

#include "cuda/on_cuda.hpp"
#include "emulation/cublas.hpp"
#include "emulation/device.hpp"
#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using ops::ProductMath;
using test::error_of;
using test::kCuda;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(EmulatedTensorCores, AreRefusedWhereKernelsHaveNone) {
  const emulation::KernelsFor old(75);
  for (const ProductMath math : {ProductMath::kTf32, ProductMath::kTf32x3}) {
    EXPECT_EQ(error_of([&] { ops::set_product_math(math); }),
              "[matmul] tf32 and tf32x3 need kernels for compute capability 8.0 or above, those "
              "for this GPU are for 7.5: take float32");
  }
  EXPECT_EQ(ops::product_math(), ProductMath::kFloat32);
  EXPECT_EQ(error_of([] { ops::set_product_math(ProductMath::kFloat32); }), "no error");
}

TEST(EmulatedTensorCores, AreRefusedWithoutAGpu) {
  const emulation::Installed none(13000, 0);
  EXPECT_THAT(error_of([] { ops::set_product_math(ProductMath::kTf32); }), HasSubstr("no GPU"));
}

TEST(EmulatedTensorCores, AreThoseOfCublasForLargeProductsByTf32) {
  constexpr int kCompute32FastTf32 = 77;  // of cublas_api.h
  constexpr std::int64_t kLarge = 1024;
  emulation::emulated_cublas() = {};
  ops::Cublas::forget();
  // Rounded to 10 bits, 1 + 2^-12 is 1.
  const Variable x(Tensor::full({kLarge, kLarge}, 1 + 0x1p-12, DType::kFloat32, kCuda)),
      ones(Tensor::full({kLarge, kLarge}, 1, DType::kFloat32, kCuda));
  const ops::WithProductMath with(ProductMath::kTf32);
  const Tensor y = ops::matmul(x, ones).value().to(Device{});
  EXPECT_THAT(emulation::emulated_cublas().products, ElementsAre(kCompute32FastTf32));
  EXPECT_EQ(y.data<float>()[0], kLarge);
}

}  // namespace
}  // namespace maskgrad
