// Large products by cuBLAS, on a GPU: right, and the same in each run.
#include <gtest/gtest.h>

#include <maskgrad/ops/math/cublas_description.hpp>
#include <maskgrad/ops/math/matmul.hpp>

#include "cuda/on_cuda.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::kCuda;

// The own kernels have the rows of a sequence. Both add 1024 products of numbers below 1.
TEST(Cublas, MultipliesAsTheOwnKernelsDo) {
  if (ops::cublas_description().empty()) GTEST_SKIP() << "there is no cuBLAS";
  constexpr std::int64_t kRows = 1100, kTerms = 1024, kColumns = 1030;
  Random random(2);
  for (const DType dtype : test::kFloatingDTypes) {
    const Variable x(test::uniform(random, {kRows, kTerms}).to(dtype).to(kCuda)),
        of_sequence(x.value().view(0, {1, kRows, kTerms})),
        w(test::uniform(random, {kTerms, kColumns}).to(dtype).to(kCuda));
    const Tensor y = ops::matmul(x, w).value().to(Device{}),
                 again = ops::matmul(x, w).value().to(Device{}),
                 own = ops::matmul(of_sequence, w).value().to(Device{});
    EXPECT_TRUE(test::is_near(again, y));
    const std::vector<double> got = test::to_doubles(y), wanted = test::to_doubles(own);
    // Far below what factors rounded to TF32 would make of it, about 1e-2.
    const double bound = dtype == DType::kFloat32 ? 1e-3 : 1e-11;
    for (std::size_t i = 0; i < wanted.size(); ++i) ASSERT_NEAR(got[i], wanted[i], bound) << i;
  }
}

}  // namespace
}  // namespace maskgrad
