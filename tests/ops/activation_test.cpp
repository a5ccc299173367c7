#include <cmath>
#include <functional>

#include <gmock/gmock.h>

#include <maskgrad/ops/activation.hpp>
#include <maskgrad/tensor/tape.hpp>

#include "ops/position.hpp"
#include "support/errors.hpp"
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

TEST(Activations, PassOnNotANumber) {
  for (const Activation& f : kActivations) {
    for (const DType dtype : test::kFloatingDTypes) {
      EXPECT_TRUE(is_close(f.op(Variable(make({kNaN}, {1}, dtype))).value(), {kNaN})) << f.name;
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
    expect([](const Variable& v) { return ops::elu(v); }, {-1, 1000}, {0, 1});
  }
}

TEST(Relu, HasNoGradientAtZeroAndKeepsNotANumber) {
  const Variable x = leaf(make({0, -0.0, -1, 2, kNaN}, {5}));
  Tape tape;
  const Variable y = ops::relu(x);
  EXPECT_TRUE(is_close(y.value(), {0, 0, 0, 2, kNaN}));
  tape.backward(y, make({7, 7, 7, 7, 7}, {5}));
  EXPECT_THAT(to_doubles(x.grad()), ElementsAre(0, 0, 0, 7, 0));
}

TEST(Softplus, IsExactWhereTheNaiveFormulaIsNot) {
  // log1p(exp(x)) of NumPy in float64.
  EXPECT_TRUE(is_close(ops::softplus(Variable(make({-40, 40, 800}, {3}))).value(),
                       {4.248354255291589e-18, 40.0, 800.0}, 1e-15));
  EXPECT_GT(ops::softplus(Variable(make({-40}, {1}))).item(), 0);
}

}  // namespace
}  // namespace maskgrad
