// Operations that a device multiplies by tensor cores: their bits, holes, infinity and errors.
#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/linear.hpp>
#include <maskgrad/ops/math/matmul.hpp>
#include <maskgrad/ops/math/product_math.hpp>
#include <maskgrad/ops/math/stacked_matmul.hpp>
#include <maskgrad/ops/nn/recurrent.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

#include "cuda/both_devices.hpp"
#include "cuda/device_steps.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using ops::ProductMath;
using ops::WithProductMath;
using test::error_of;
using test::is_near;
using test::kCuda;
using test::kInf;
using test::kNaN;
using test::to_doubles;
using ::testing::Each;
using ::testing::HasSubstr;

constexpr ProductMath kTensorCores[] = {ProductMath::kTf32, ProductMath::kTf32x3};

class ByTensorCores : public test::DeviceSteps {
 protected:
  Tensor draw(const Shape& shape) { return test::uniform(random_, shape).to(DType::kFloat32); }
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

TEST_F(ByTensorCores, RecurrentStepsAreThoseOfFloat32AndTheGradientOfTheirMatrixIsNot) {
  const std::vector<Tensor> inputs = {draw({3, 20, 12}), draw({4, 12}), draw({12})};
  const auto gru = [](const auto& x) { return ops::gru(x[0], x[1], x[2]).output; };
  const std::vector<Tensor> exact = test::run_on(kCuda, gru, inputs);
  const WithProductMath with(ProductMath::kTf32);
  const std::vector<Tensor> got = test::run_on(kCuda, gru, inputs);
  constexpr std::size_t kOfMatrix = 2;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    EXPECT_EQ(bool{is_near(got[i], exact[i])}, i != kOfMatrix) << i;
  }
  EXPECT_TRUE(test::is_close(got[kOfMatrix], to_doubles(exact[kOfMatrix]), 0.2));
  const Variable gates = test::leaf(draw({3, 20, 12}).to(DType::kFloat64).to(kCuda)),
                 w = test::leaf(draw({4, 12}).to(DType::kFloat64).to(kCuda)),
                 bias = test::leaf(draw({12}).to(DType::kFloat64).to(kCuda));
  EXPECT_THAT(error_of([&] { ops::gru(gates, w, bias); }),
              HasSubstr("[gru] tf32 multiplies float32 on cuda, and was given float64 on cuda"));
}

// Down to numbers of 2^-103, see ProductMath.
TEST_F(ByTensorCores, ThreeProductsHaveTheErrorOfNearlyAllBits) {
  const WithProductMath with(ProductMath::kTf32x3);
  for (const int exponent : {0, 60, -60, -102}) {
    const Tensor x = ops::scale(Variable(draw({40, 1})), std::ldexp(1.0, exponent)).value(),
                 w = draw({1, 40});
    const Tensor y = ops::matmul(Variable(x.to(kCuda)), Variable(w.to(kCuda))).value().to(Device{});
    for (std::int64_t i = 0; i < 40; ++i) {
      for (std::int64_t j = 0; j < 40; ++j) {
        const double a = x[i].item(), b = w[0][j].item();
        if (std::abs(a) < 0x1p-103 || std::abs(a * b) < 0x1p-120) continue;
        // The sum is rounded once more.
        EXPECT_LE(std::abs(y[i][j].item() / (a * b) - 1), 0x1p-21 + 0x1p-24) << a << ' ' << b;
      }
    }
  }
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
  const auto step = [&](const Tensor& input, ProductMath math) {
    const WithProductMath with(math);
    return test::product_in_step(x, input, w);
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
  EXPECT_EQ(
      matmul(DType::kFloat64, kCuda),
      "[matmul] tf32 multiplies float32 on cuda, and was given float64 on cuda: take the math "
      "float32");
  EXPECT_THAT(matmul(DType::kFloat32, {}), HasSubstr("was given float32 on cpu"));
  const Variable x(draw({3, 3})), bias(draw({3}));
  EXPECT_THAT(error_of([&] { ops::linear(x, x, bias); }), HasSubstr("[linear] tf32 multiplies"));
  EXPECT_THAT(error_of([&] { ops::stacked_matmul(x, {&x}); }),
              HasSubstr("[stacked_matmul] tf32 multiplies"));
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
