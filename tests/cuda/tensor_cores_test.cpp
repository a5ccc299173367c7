// Products by tensor cores: how exact they are, and what changes none of their bits.
#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/ops/math/linear.hpp>
#include <maskgrad/ops/math/matmul.hpp>
#include <maskgrad/ops/math/product_math.hpp>
#include <maskgrad/ops/math/stacked_matmul.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

#include "cuda/both_devices.hpp"
#include "cuda/device_steps.hpp"
#include "cuda/test_products.hpp"
#include "ops/cpu/product_operands.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using ops::MatrixProduct;
using ops::ProductMath;
using ops::WithProductMath;
using test::error_of;
using test::every_transpose;
using test::is_near;
using test::kCuda;
using test::kInf;
using test::kNaN;
using test::same_bits;
using test::to_doubles;
using ::testing::Each;
using ::testing::HasSubstr;

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

class ByTensorCores : public test::DeviceSteps {
 protected:
  Tensor draw(const Shape& shape) { return Operands::draw(random_, shape); }
  Variable leaf(const Shape& shape) { return test::leaf(draw(shape).to(kCuda)); }

  Random random_{6};
};

const auto kLinear = [](const std::vector<Variable>& x) {
  return ops::linear(x[0], x[1], x[2], ops::LinearActivation::kRelu);
};

// Forward and backward, near those of float32.
TEST_F(ByTensorCores, OperationsAndTheirGradientsAreNearThoseOfFloat32) {
  const std::pair<test::Function, std::vector<Tensor>> cases[] = {
      {kLinear, {draw({5, 9}), draw({9, 7}), draw({7})}},
      {kLinear, {draw({2, 30, 9}), draw({9, 7}), draw({7})}},
      {[](const auto& x) { return ops::matmul(x[0], x[1], false, true); },
       {draw({3, 5, 9}), draw({3, 6, 9})}},
      {[](const auto& x) {
         return ops::stacked_linear(x[0], {&x[1], &x[2]}, {&x[3], &x[4]});
       },
       {draw({4, 9}), draw({9, 6}), draw({9, 6}), draw({6}), draw({6})}}};
  for (const auto& [f, inputs] : cases) {
    const std::vector<Tensor> exact = test::run_on(kCuda, f, inputs);
    for (const ProductMath math : kTensorCores) {
      const WithProductMath with(math);
      const std::vector<Tensor> got = test::run_on(kCuda, f, inputs);
      const double bound = math == ProductMath::kTf32 ? 0.2 : 1e-4;
      for (std::size_t i = 0; i < exact.size(); ++i) {
        EXPECT_TRUE(test::is_close(got[i], to_doubles(exact[i]), bound)) << i;
      }
      EXPECT_FALSE(is_near(got[0], exact[0])) << to_string(math);
    }
  }
}

TEST_F(ByTensorCores, SumsOverRowsAreThoseOfFloat32) {
  const std::vector<Tensor> inputs = {draw({3, 20, 9}), draw({9, 7}), draw({7})};
  const auto linear = [](const auto& x) { return ops::linear(x[0], x[1], x[2]); };
  const Tensor exact = test::run_on(kCuda, linear, inputs)[3];
  const WithProductMath with(ProductMath::kTf32);
  EXPECT_TRUE(is_near(test::run_on(kCuda, linear, inputs)[3], exact));
}

// As on every device, the rows of a batch do not know of each other.
TEST_F(ByTensorCores, RowsHaveTheSameBitsInEveryBatch) {
  const Variable x(draw({200, 70}).to(kCuda)), w(draw({70, 40}).to(kCuda));
  for (const ProductMath math : kTensorCores) {
    const WithProductMath with(math);
    const Tensor all = ops::matmul(x, w).value().to(Device{});
    for (const std::int64_t rows : {1, 2, 8, 9, 33, 100}) {
      const Variable some(x.value().view(0, {rows, 70}));
      const Tensor y = ops::matmul(some, w).value().to(Device{});
      EXPECT_TRUE(is_near(y, all.view(0, {rows, 40}))) << rows;
    }
  }
}

TEST_F(ByTensorCores, PaddingChangesNoBitOfAGradient) {
  constexpr std::int64_t kLength = 70, kPadded = 150;
  const Tensor w = draw({9, 7}), bias = draw({7});
  const auto padded = [](const Tensor& x) {
    Tensor y = Tensor::zeros({3, kPadded, x.dim(2)}, DType::kFloat32);
    for (std::int64_t b = 0; b < 3; ++b) {
      y[b].view(0, {kLength, x.dim(2)}).copy_from(x[b]);
    }
    return y;
  };
  const Tensor x = draw({3, kLength, 9}), g = draw({3, kLength, 7});
  const auto linear = [](const auto& v) { return ops::linear(v[0], v[1], v[2]); };
  for (const ProductMath math : kTensorCores) {
    const WithProductMath with(math);
    const auto of_short = test::run_on(kCuda, linear, {x, w, bias}, g),
               of_long = test::run_on(kCuda, linear, {padded(x), w, bias}, padded(g));
    for (const std::size_t factor : {2U, 3U}) {
      EXPECT_TRUE(is_near(of_long[factor], of_short[factor])) << factor;
    }
  }
}

TEST_F(ByTensorCores, OperationsHaveTheSameBitsInEveryOrderOfThreads) {
  const std::vector<Tensor> inputs = {draw({3, 40, 70}), draw({70, 33}), draw({33})};
  for (const ProductMath math : kTensorCores) {
    const WithProductMath with(math);
    const std::vector<Tensor> wanted = test::run_on(kCuda, kLinear, inputs);
    test::in_each_order([&] {
      const std::vector<Tensor> got = test::run_on(kCuda, kLinear, inputs);
      for (std::size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(is_near(got[i], wanted[i])) << i;
    });
  }
}

TEST_F(ByTensorCores, WhatHolesHoldReachesNothing) {
  constexpr std::int64_t kLength = 70;
  Tensor keep = test::random_bits(random_, {3, kLength});
  const SequenceMask mask(keep);
  for (const ProductMath math : kTensorCores) {
    const WithProductMath with(math);
    for (const double poison : {kNaN, kInf, 3e38}) {
      std::vector<Tensor> inputs = {draw({3, kLength, 6}), draw({6, 5}), draw({5})};
      std::vector<Tensor> clean = test::run_on(kCuda, kLinear, inputs, {}, mask);
      for (std::int64_t i = 0; i < 3 * kLength; ++i) {
        if (!keep.data<bool>()[i]) {
          inputs[0].data<float>()[i * 6 + i % 6] = static_cast<float>(poison);
        }
      }
      std::vector<Tensor> poisoned = test::run_on(kCuda, kLinear, inputs, {}, mask);
      for (Tensor* y : {&clean[0], &poisoned[0]}) fill_holes(*y, mask, 0);
      for (std::size_t i = 0; i < clean.size(); ++i) {
        EXPECT_TRUE(is_near(poisoned[i], clean[i])) << i;
      }
    }
  }
}

// What a number is besides its size: NaN, infinite with a sign, or finite.
double kind_of(double x) { return std::isfinite(x) ? 0 : x; }

TEST_F(ByTensorCores, InfinityAndNaNGoWhereTheyGoInFloat32) {
  const double most = std::numeric_limits<float>::max();
  const std::vector<double> numbers = {kInf, -kInf, kNaN,  1e30, -1e30, 1.0 / 3, -1.0 / 3,
                                       0,    -0.0,  1e-30, 1.5,  3e5,   most};
  const auto n = static_cast<std::int64_t>(numbers.size());
  // Each with each, beside finite terms, and as the sum of two products.
  const Tensor a = test::make(numbers, {n, 1}, DType::kFloat32),
               b = test::make(numbers, {1, n}, DType::kFloat32);
  const auto with_more = [&](const Tensor& x, const Tensor& more, bool columns) {
    Tensor both = Tensor::full(columns ? Shape{n, 2} : Shape{2, n}, 0.7, DType::kFloat32);
    for (std::int64_t i = 0; i < n; ++i) {
      both.data<float>()[columns ? 2 * i : i] = x.data<float>()[i];
      if (more.defined()) both.data<float>()[columns ? 2 * i + 1 : n + i] = more.data<float>()[i];
    }
    return both;
  };
  const std::pair<Tensor, Tensor> cases[] = {{a, b},
                                             {with_more(a, {}, true), with_more(b, {}, false)},
                                             {with_more(a, a, true), with_more(b, b, false)}};
  for (const auto& [left, right] : cases) {
    const Variable x(left.to(kCuda)), w(right.to(kCuda));
    const std::vector<double> exact = to_doubles(ops::matmul(x, w).value().to(Device{}));
    for (const ProductMath math : kTensorCores) {
      const WithProductMath with(math);
      const std::vector<double> got = to_doubles(ops::matmul(x, w).value().to(Device{}));
      for (std::size_t i = 0; i < got.size(); ++i) {
        const double wanted = kind_of(exact[i]), kind = kind_of(got[i]);
        EXPECT_TRUE(kind == wanted || (std::isnan(kind) && std::isnan(wanted))) << fmt::format(
            "{}: {} times {} is {}, in float32 {}", to_string(math), numbers[i / numbers.size()],
            numbers[i % numbers.size()], got[i], exact[i]);
      }
    }
  }
}

TEST_F(ByTensorCores, ThereMayBeNoRowsColumnsOrTerms) {
  for (const ProductMath math : kTensorCores) {
    const WithProductMath with(math);
    const auto y = [&](std::int64_t m, std::int64_t n, std::int64_t k) {
      return test::run_on(kCuda, kLinear, {draw({m, k}), draw({k, n}), draw({n})});
    };
    EXPECT_EQ(y(0, 3, 2)[0].shape(), (Shape{0, 3}));
    EXPECT_THAT(to_doubles(y(0, 3, 2)[2]), Each(0));
    EXPECT_EQ(y(3, 0, 2)[0].shape(), (Shape{3, 0}));
    EXPECT_EQ(y(3, 4, 0)[1].shape(), (Shape{3, 0}));
    const Variable a(draw({3, 0}).to(kCuda)), b(draw({0, 4}).to(kCuda));
    EXPECT_THAT(to_doubles(ops::matmul(a, b).value().to(Device{})), Each(0));
  }
}

TEST_F(ByTensorCores, StepsAreReplayedWithTheBitsOfEagerOnes) {
  const Variable w = leaf({70, 40});
  Tensor x = Tensor::zeros({5, 70}, DType::kFloat32, kCuda);
  Tensor y;
  const auto step = [&](const Tensor& input, ProductMath math) {
    const WithProductMath with(math);
    x.copy_from(input);
    y = Tensor();
    DeviceStep on_device(kCuda);
    y = ops::matmul(Variable(x), w).value();
    on_device.end();
    return y.to(Device{});
  };
  const Tensor first = draw({5, 70}), second = draw({5, 70});
  for (const ProductMath math : kTensorCores) {
    const auto eager = [&](const Tensor& input) {
      const WithProductMath with(math);
      return ops::matmul(Variable(input.to(kCuda)), w).value().to(Device{});
    };
    const Tensor of_first = eager(first), of_second = eager(second);
    test::Since since;
    EXPECT_TRUE(is_near(step(first, math), of_first));
    EXPECT_EQ(since().recorded, 1U);  // another math is another step
    EXPECT_TRUE(is_near(step(second, math), of_second));
    EXPECT_EQ(since().replayed, test::reuses_memory() ? 1U : 0U);
  }
}

TEST_F(ByTensorCores, NothingElseIsMultiplied) {
  const WithProductMath with(ProductMath::kTf32);
  const auto matmul = [&](DType dtype, Device device) {
    const Variable x(draw({3, 3}).to(dtype).to(device));
    return error_of([&] { ops::matmul(x, x); });
  };
  EXPECT_EQ(matmul(DType::kFloat32, kCuda), "no error");
  EXPECT_EQ(matmul(DType::kFloat64, kCuda),
            "[matmul] multiplies float32 on cuda only by tf32, and was given float64 on cuda: "
            "set_product_math() to float32");
  EXPECT_THAT(matmul(DType::kFloat32, {}), HasSubstr("was given float32 on cpu"));
  const Variable x(draw({3, 3})), bias(draw({3}));
  EXPECT_THAT(error_of([&] { ops::linear(x, x, bias); }), HasSubstr("[linear] multiplies"));
  EXPECT_THAT(error_of([&] { ops::stacked_matmul(x, {&x}); }),
              HasSubstr("[stacked_matmul] multiplies"));
}

TEST_F(ByTensorCores, TheChoiceEndsWithItsScope) {
  {
    const WithProductMath with(ProductMath::kTf32x3);
    EXPECT_EQ(ops::product_math(), ProductMath::kTf32x3);
  }
  EXPECT_EQ(ops::product_math(), ProductMath::kFloat32);
}

}  // namespace
}  // namespace maskgrad
