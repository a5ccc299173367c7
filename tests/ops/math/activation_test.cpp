#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numbers>

#include <gmock/gmock.h>

#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "ops/position.hpp"
#include "support/errors.hpp"
#include "support/gradient_check.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::is_close;
using test::kInf;
using test::kNaN;
using test::leaf;
using test::make;
using test::to_doubles;
using ::testing::ElementsAre;

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

struct Activation {
  const char* name;
  std::function<Variable(const Variable&)> op;
  double (*meaning)(double);
};
const Activation kActivations[] = {
    {"sigmoid", ops::sigmoid, logistic},
    {"tanh", ops::tanh, [](double x) { return std::tanh(x); }},
    {"softplus", ops::softplus, [](double x) { return std::log1p(std::exp(x)); }},
    {"relu", ops::relu, [](double x) { return x > 0 ? x : 0; }},
    {"leaky_relu", [](const Variable& x) { return ops::leaky_relu(x, 0.2); },
     [](double x) { return x > 0 ? x : 0.2 * x; }},
    {"elu", [](const Variable& x) { return ops::elu(x, 1.5); },
     [](double x) { return x > 0 ? x : 1.5 * std::expm1(x); }},
    {"gelu", ops::gelu, [](double x) { return x * 0.5 * std::erfc(-x / std::sqrt(2.0)); }},
    {"gelu_tanh", ops::gelu_tanh,
     [](double x) {
       return 0.5 * x *
              (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
     }},
    {"silu", ops::silu, [](double x) { return x * logistic(x); }},
};

TEST(Activations, FollowTheirFormulas) {
  Random random(1);
  for (const Activation& f : kActivations) {
    for (const Shape& shape : {Shape{}, Shape{1}, Shape{0, 3}, Shape{2, 37}, Shape{400}}) {
      const Tensor x = test::uniform(random, shape, -6, 6);
      for (const DType dtype : test::kFloatingDTypes) {
        std::vector<double> expected;
        for (const double v : to_doubles(x.to(dtype))) expected.push_back(f.meaning(v));
        const Tensor y = f.op(Variable(x.to(dtype))).value();
        EXPECT_EQ(y.shape(), shape);
        EXPECT_EQ(y.dtype(), dtype);
        EXPECT_TRUE(is_close(y, expected, 4 * test::tolerance(dtype)))
            << f.name << " of " << to_string(shape);
      }
    }
  }
}

TEST(Activations, HaveTheDefaultsOfTheirDeclarations) {
  const Variable x(make({-1}, {1}));
  EXPECT_DOUBLE_EQ(ops::leaky_relu(x).item(), -0.01);
  EXPECT_DOUBLE_EQ(ops::elu(x).item(), std::expm1(-1));
}

TEST(Activations, RefuseIntegers) {
  for (const Activation& f : kActivations) {
    EXPECT_EQ(error_of([&] { f.op(Variable(Tensor::zeros({2}, DType::kInt64))); }),
              std::string("[") + f.name + "] does not take int64");
  }
}

TEST(Activations, KeepTheMask) {
  const SequenceMask mask(test::bits({1, 0}, {1, 2}));
  const Variable x = leaf(make({0.5, kNaN, 1, kInf}, {1, 2, 2}), mask);
  for (const Activation& f : kActivations) {
    Variable kept = x;
    kept.clear_grad();
    Tape tape;
    const Variable y = f.op(kept);
    EXPECT_TRUE(y.mask() == mask) << f.name;
    tape.backward(y, Tensor::full({1, 2, 2}, kNaN, DType::kFloat64));
    EXPECT_THAT(to_doubles(x.grad().view(2, {2})), ElementsAre(0, 0)) << f.name;
  }
}

TEST(Activations, DoNotDependOnWhereAnElementStands) {
  for (const Activation& f : kActivations) test::expect_position_does_not_matter(f.name, f.op);
}

// What an activation makes of x, and its slope there.
struct ValuesAndSlopes {
  Tensor values, slopes;
};
ValuesAndSlopes at(const std::function<Variable(const Variable&)>& f, const std::vector<double>& x,
                   DType dtype) {
  const Shape shape{static_cast<std::int64_t>(x.size())};
  const Variable in = leaf(make(x, shape, dtype));
  Tape tape;
  const Variable y = f(in);
  tape.backward(y, Tensor::full(shape, 1, dtype));
  return {y.value(), in.grad()};
}

TEST(Activations, PassOnNotANumber) {
  for (const Activation& f : kActivations) {
    for (const DType dtype : test::kFloatingDTypes) {
      const auto [values, slopes] = at(f.op, {kNaN, -kNaN}, dtype);
      const bool is_chosen = std::string(f.name) == "relu" || std::string(f.name) == "leaky_relu";
      const double slope = is_chosen ? 1 : kNaN;
      EXPECT_TRUE(is_close(values, {kNaN, kNaN})) << f.name;
      EXPECT_TRUE(is_close(slopes, {slope, slope})) << f.name;
    }
  }
}

bool is_negative(const Tensor& x, std::size_t i) { return std::signbit(to_doubles(x)[i]); }

TEST(Activations, ReachTheirLimits) {
  const struct {
    std::string name;
    double low, high, low_slope, high_slope;
  } limits[] = {{"sigmoid", 0, 1, 0, 0},       {"tanh", -1, 1, 0, 0},
                {"softplus", 0, kInf, 0, 1},   {"relu", 0, kInf, 0, 1},
                {"elu", -1.5, kInf, 0, 1},     {"leaky_relu", -kInf, kInf, 0.2, 1},
                {"gelu", -0.0, kInf, -0.0, 1}, {"gelu_tanh", -0.0, kInf, -0.0, 1},
                {"silu", -0.0, kInf, -0.0, 1}};
  for (const auto& limit : limits) {
    const Activation& f =
        *std::ranges::find_if(kActivations, [&](const auto& a) { return a.name == limit.name; });
    for (const DType dtype : test::kFloatingDTypes) {
      const double most = dtype == DType::kFloat32 ? std::numeric_limits<float>::max()
                                                   : std::numeric_limits<double>::max();
      for (const double x : {kInf, most, most / 4}) {
        const double low = std::isinf(limit.low) ? -x * limit.low_slope : limit.low;
        const double high = std::isinf(limit.high) ? x : limit.high;
        const auto [values, slopes] = at(f.op, {-x, x}, dtype);
        EXPECT_TRUE(is_close(values, {low, high})) << f.name << " of " << x;
        EXPECT_TRUE(is_close(slopes, {limit.low_slope, limit.high_slope})) << f.name << " at " << x;
        EXPECT_EQ(is_negative(values, 0), std::signbit(limit.low)) << f.name << " of " << -x;
        EXPECT_EQ(is_negative(slopes, 0), std::signbit(limit.low_slope)) << f.name << " at " << -x;
      }
    }
  }
}

TEST(Activations, OfAZeroHaveItsSignWhereTheyAreZero) {
  for (const Activation& f : kActivations) {
    if (f.meaning(0) != 0) continue;
    for (const DType dtype : test::kFloatingDTypes) {
      const Tensor values = at(f.op, {0.0, -0.0}, dtype).values;
      EXPECT_TRUE(is_close(values, {0, 0}, 0)) << f.name;
      EXPECT_FALSE(is_negative(values, 0)) << f.name;
      EXPECT_TRUE(is_negative(values, 1)) << f.name;
    }
  }
}

TEST(Activations, StayFiniteFarFromZero) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Variable x = leaf(make({-1000, 1000}, {2}, dtype));
    const auto expect = [&](const std::function<Variable(const Variable&)>& f,
                            std::vector<double> values, std::vector<double> slopes) {
      Variable leaf = x;
      leaf.clear_grad();
      Tape tape;
      const Variable y = f(leaf);
      tape.backward(y, make({1, 1}, {2}, dtype));
      EXPECT_TRUE(is_close(y.value(), values));
      EXPECT_TRUE(is_close(leaf.grad(), slopes));
    };
    expect(ops::sigmoid, {0, 1}, {0, 0});
    expect(ops::tanh, {-1, 1}, {0, 0});
    expect(ops::softplus, {0, 1000}, {0, 1});
    expect(ops::relu, {0, 1000}, {0, 1});
    expect(ops::silu, {0, 1000}, {0, 1});
    expect(ops::gelu, {0, 1000}, {0, 1});
    expect(ops::gelu_tanh, {0, 1000}, {0, 1});
    expect([](const Variable& v) { return ops::elu(v); }, {-1, 1000}, {0, 1});
  }
}

// gelu() is tested by the error function. The two are this near, and no nearer.
TEST(GeluTanh, DiffersFromGeluByUpToFiveTenThousandths) {
  std::vector<double> x;
  for (int i = -8000; i <= 8000; ++i) x.push_back(i / 1000.0);
  const auto exact = to_doubles(at(ops::gelu, x, DType::kFloat64).values),
             approximate = to_doubles(at(ops::gelu_tanh, x, DType::kFloat64).values);
  double most = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    most = std::max(most, std::abs(exact[i] - approximate[i]));
  }
  EXPECT_LT(most, 5e-4);
  EXPECT_GT(most, 4e-4);
}

TEST(GeluTanh, HasTheGradientThatDifferencesGive) {
  Random random(3);
  const Variable x = leaf(test::uniform(random, {3, 7}, -4, 4));
  EXPECT_TRUE(test::gradients_agree([&] { return ops::sum(ops::gelu_tanh(x)); }, {{"x", x}}));
}

TEST(Relu, HasNoGradientAtZeroAndKeepsNotANumber) {
  const Variable x = leaf(make({0, -0.0, -1, 2, kNaN}, {5}));
  Tape tape;
  const Variable y = ops::relu(x);
  EXPECT_TRUE(is_close(y.value(), {0, 0, 0, 2, kNaN}));
  tape.backward(y, make({7, 7, 7, 7, 7}, {5}));
  EXPECT_TRUE(is_close(x.grad(), {0, 0, 0, 7, 7}));
}

TEST(LeakyReluAndElu, TakeExtremeFactors) {
  const std::vector<double> x = {-0x1p127, -2, -0x1p-100, -0x1p-149, -0.0, 0, 3};
  for (const DType dtype : test::kFloatingDTypes) {
    const std::vector<double> factors = dtype == DType::kFloat32
                                            ? std::vector<double>{0.0, -0.5, 3e38, -1e-37, 0x1p-149}
                                            : std::vector<double>{1e39, -1e300, 1e-300, 5e-324};
    for (const double factor : factors) {
      // What the dtype makes of an exact result, in parts of that.
      const auto expect = [&](const Tensor& y, std::size_t i, double exact) {
        const Tensor expected = make({exact}, {1}, dtype).to(DType::kFloat64);
        const double unit = std::isnormal(expected.item()) ? std::abs(expected.item()) : 1;
        EXPECT_TRUE(is_close(make({to_doubles(y)[i] / unit}, {1}), {expected.item() / unit}, 1e-6))
            << factor << " at " << x[i];
      };
      const auto leaky =
          at([=](const Variable& v) { return ops::leaky_relu(v, factor); }, x, dtype);
      const auto elu = at([=](const Variable& v) { return ops::elu(v, factor); }, x, dtype);
      for (std::size_t i = 0; i < x.size(); ++i) {
        expect(leaky.values, i, x[i] > 0 ? x[i] : factor * x[i]);
        expect(leaky.slopes, i, x[i] > 0 ? 1 : factor);
        expect(elu.values, i, x[i] > 0 ? x[i] : factor * std::expm1(x[i]));
        expect(elu.slopes, i, x[i] > 0 ? 1 : factor * std::exp(x[i]));
      }
    }
  }
}

TEST(LeakyReluAndElu, RefuseFactorsThatAreNotFinite) {
  const Variable x(make({-1}, {1}));
  EXPECT_EQ(error_of([&] { ops::leaky_relu(x, kInf); }),
            "[leaky_relu] slope must be finite, got inf");
  EXPECT_EQ(error_of([&] { ops::elu(x, kNaN); }), "[elu] alpha must be finite, got nan");
}

TEST(Softplus, IsExactWhereTheNaiveFormulaIsNot) {
  // log1p(exp(x)) of NumPy in float64.
  EXPECT_TRUE(is_close(ops::softplus(Variable(make({-40, 40, 800}, {3}))).value(),
                       {4.248354255291589e-18, 40.0, 800.0}, 1e-15));
  EXPECT_GT(ops::softplus(Variable(make({-40}, {1}))).item(), 0);
}

}  // namespace
}  // namespace maskgrad
