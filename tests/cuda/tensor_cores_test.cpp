// The kernels for tensor cores: how exact they are, and what changes none of their bits.
#include <cmath>

#include <gmock/gmock.h>

#include "cuda/on_cuda.hpp"
#include "cuda/test_products.hpp"
#include "ops/cpu/product_operands.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using ops::MatrixProduct;
using ops::ProductMath;
using test::every_transpose;
using test::is_near;
using test::kCuda;
using test::kNaN;
using test::to_doubles;

constexpr ProductMath kTensorCores[] = {ProductMath::kTf32, ProductMath::kTf32x3};

// x with 11 bits, to nearest, ties away from zero.
double in_tf32(double x) {
  int exponent = 0;
  const double mantissa = std::frexp(x, &exponent);
  return std::ldexp(std::round(std::ldexp(mantissa, 11)), exponent - 11);
}

struct Operands {
  Tensor a, b;

  Operands(Random& random, const MatrixProduct& d)
      : a(draw(random, d.transpose_a ? Shape{d.k, d.m} : Shape{d.m, d.k})),
        b(draw(random, d.transpose_b ? Shape{d.n, d.k} : Shape{d.k, d.n})) {}
  static Tensor draw(Random& random, const Shape& shape) {
    return test::uniform(random, shape).to(DType::kFloat32);
  }
};

// The sums of f(a, b) over the terms of each element, in double.
template <class F>
std::vector<double> sums_of(const MatrixProduct& d, const Operands& operands, F f) {
  const std::vector<double> a = to_doubles(operands.a), b = to_doubles(operands.b);
  std::vector<double> sums;
  for (std::int64_t i = 0; i < d.m; ++i) {
    for (std::int64_t j = 0; j < d.n; ++j) {
      double sum = 0;
      for (std::int64_t p = 0; p < d.k; ++p) {
        sum += f(a[static_cast<std::size_t>(d.transpose_a ? p * d.m + i : i * d.k + p)],
                 b[static_cast<std::size_t>(d.transpose_b ? j * d.k + p : p * d.n + j)]);
      }
      sums.push_back(sum);
    }
  }
  return sums;
}

Tensor product(const MatrixProduct& d, ProductMath math, const Operands& operands,
               const test::MmaPlan& plan = {false, 1}) {
  Tensor y = Tensor::full({d.m, d.n}, kNaN, DType::kFloat32, kCuda);
  test::multiply_by_tensor_cores(d, math, plan, operands.a.to(kCuda), operands.b.to(kCuda), y);
  return y.to(Device{});
}

// Each element is within `of_terms` times the sum of |a b|, and the roundings of a sum: one of
// 2^-23 for each term at most, where the hardware rounds toward zero.
void expect_near(const MatrixProduct& d, const Operands& operands, const Tensor& y,
                 const std::vector<double>& wanted, double of_terms) {
  const std::vector<double> sizes =
      sums_of(d, operands, [](double a, double b) { return std::abs(a * b); });
  const std::vector<double> got = to_doubles(y);
  const double share = of_terms + 0x1p-23 * static_cast<double>(d.k);
  ASSERT_EQ(got.size(), wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(got[i], wanted[i], share * sizes[i])
        << fmt::format("m {} n {} k {}{}{}, element {}", d.m, d.n, d.k, d.transpose_a ? " a^T" : "",
                       d.transpose_b ? " b^T" : "", i);
  }
}

const std::array<std::int64_t, 3> kSizes[] = {{1, 1, 1},   {3, 33, 8},  {9, 31, 65}, {65, 40, 7},
                                              {33, 70, 5}, {2, 5, 600}, {64, 64, 32}};

TEST(TensorCores, MultiplyNumbersRoundedToTf32) {
  Random random(1);
  for (const auto& [m, n, k] : kSizes) {
    for (const MatrixProduct& d : every_transpose({.m = m, .n = n, .k = k})) {
      const Operands operands(random, d);
      const auto wanted =
          sums_of(d, operands, [](double a, double b) { return in_tf32(a) * in_tf32(b); });
      expect_near(d, operands, product(d, ProductMath::kTf32, operands), wanted, 0);
    }
  }
}

TEST(TensorCores, MultiplyByThreeProductsNearlyAsFloat32Does) {
  Random random(2);
  for (const auto& [m, n, k] : kSizes) {
    for (const MatrixProduct& d : every_transpose({.m = m, .n = n, .k = k})) {
      const Operands operands(random, d);
      const auto wanted = sums_of(d, operands, [](double a, double b) { return a * b; });
      expect_near(d, operands, product(d, ProductMath::kTf32x3, operands), wanted, 0x1p-21);
    }
  }
}

// One product is wrong by eight units in the last place at most; that of tf32 by thousands.
TEST(TensorCores, AreAsExactAsTheyPromise) {
  Random random(3);
  const MatrixProduct d = {.m = 100, .n = 90, .k = 1};
  const Operands operands(random, d);
  const auto wanted = sums_of(d, operands, [](double a, double b) { return a * b; });
  const auto worst = [&](ProductMath math) {
    const std::vector<double> got = to_doubles(product(d, math, operands));
    double most = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      most = std::max(most, std::abs(got[i] / wanted[i] - 1));
    }
    return most;
  };
  EXPECT_LT(worst(ProductMath::kTf32x3), 0x1p-21);
  EXPECT_LT(worst(ProductMath::kTf32), 0x1p-10 + 0x1p-21);
  EXPECT_GT(worst(ProductMath::kTf32), 0x1p-12);
}

TEST(TensorCores, RoundTiesAwayFromZero) {
  const MatrixProduct d = {.m = 1, .n = 6, .k = 1};
  Random random(4);
  Operands operands(random, d);
  operands.a = test::make({1}, {1, 1}, DType::kFloat32);
  const double ulp = 0x1p-10, half = ulp / 2, less = half - 0x1p-23;
  operands.b =
      test::make({1 + half, -1 - half, 1 + less, 1 + ulp + half, 1, 0}, {1, 6}, DType::kFloat32);
  EXPECT_EQ(to_doubles(product(d, ProductMath::kTf32, operands)),
            (std::vector<double>{1 + ulp, -1 - ulp, 1, 1 + 2 * ulp, 1, 0}));
}

TEST(TensorCores, GiveTheSameBitsHoweverSumsAreCut) {
  Random random(5);
  for (const ProductMath math : kTensorCores) {
    for (MatrixProduct d : every_transpose({.m = 20, .n = 35, .k = 1100})) {
      if (d.transpose_a && !d.transpose_b) d.rows_per_sample = 100;
      const Operands operands(random, d);
      const Tensor wanted = product(d, math, operands);
      for (const bool is_large : {false, true}) {
        for (const std::int64_t groups : {1, 2, 8}) {
          EXPECT_TRUE(is_near(product(d, math, operands, {is_large, groups}), wanted));
        }
      }
    }
  }
}

TEST(TensorCores, TakeTilesBySizes) {
  const auto plan = [](std::int64_t m, std::int64_t n, std::int64_t k) {
    const auto [is_large, groups] =
        test::mma_plan_of({.m = m, .n = n, .k = k}, ProductMath::kTf32x3);
    return std::pair(is_large, static_cast<int>(groups));
  };
  EXPECT_EQ(plan(2, 64, 64), std::pair(false, 1));
  EXPECT_EQ(plan(4096, 4096, 4096), std::pair(true, 8));
  EXPECT_EQ(plan(512, 512, 100'000), std::pair(true, 64));
}

}  // namespace
}  // namespace maskgrad
