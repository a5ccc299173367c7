#include <array>
#include <cmath>
#include <functional>

#include <gmock/gmock.h>

#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "ops/places.hpp"
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

struct Binary {
  const char* name;
  Variable (*op)(const Variable&, const Variable&);
  double (*meaning)(double, double);
};
const Binary kBinaries[] = {
    {"add", ops::add, [](double a, double b) { return a + b; }},
    {"subtract", ops::subtract, [](double a, double b) { return a - b; }},
    {"multiply", ops::multiply, [](double a, double b) { return a * b; }},
    {"divide", ops::divide, [](double a, double b) { return a / b; }},
    {"maximum", ops::maximum, [](double a, double b) { return a > b ? a : b; }},
    {"minimum", ops::minimum, [](double a, double b) { return a < b ? a : b; }},
};

// The element of x that stands at element i of `to`.
double at(const Tensor& x, std::int64_t i, const Shape& to) {
  return x.values<double>()[static_cast<std::size_t>(test::place(x.shape(), i, to))];
}

TEST(BinaryOps, FollowTheirFormulasOverBroadcastShapes) {
  Random random(1);
  const std::pair<Shape, Shape> shapes[] = {{{}, {}},
                                            {{3}, {3}},
                                            {{37}, {}},
                                            {{2, 3}, {3}},
                                            {{2, 1}, {1, 3}},
                                            {{2, 3, 4}, {3, 1}},
                                            {{2, 1, 4}, {3, 1}},
                                            {{5, 1, 7}, {1, 40, 1}},
                                            {{4, 1}, {4, 300}},
                                            {{0, 3}, {3}},
                                            {{2, 3, 1, 2}, {4, 1}},
                                            {{1, 1}, {1}}};
  for (const Binary& f : kBinaries) {
    for (const auto& [sa, sb] : shapes) {
      const Tensor a = test::uniform(random, sa, 0.5, 2), b = test::uniform(random, sb, 0.5, 2);
      const Shape shape = broadcast("test", sa, sb);
      std::vector<double> expected;
      for (std::int64_t i = 0; i < shape.numel(); ++i) {
        expected.push_back(f.meaning(at(a, i, shape), at(b, i, shape)));
      }
      for (const DType dtype : test::kFloatingDTypes) {
        const Tensor y = f.op(Variable(a.to(dtype)), Variable(b.to(dtype))).value();
        EXPECT_EQ(y.shape(), shape) << f.name;
        EXPECT_EQ(y.dtype(), dtype) << f.name;
        EXPECT_TRUE(is_close(y, expected)) << f.name << to_string(sa) << to_string(sb);
      }
    }
  }
}

TEST(BinaryOps, RefuseShapesThatDoNotBroadcastAndMixedTypes) {
  const Variable a(Tensor::zeros({2, 3}, DType::kFloat64));
  for (const Binary& f : kBinaries) {
    const std::string name = f.name;
    EXPECT_EQ(error_of([&] { f.op(a, Variable(Tensor::zeros({2}, DType::kFloat64))); }),
              "[" + name + "] shapes do not broadcast: (2, 3) and (2,)");
    EXPECT_EQ(error_of([&] { f.op(a, Variable(Tensor::zeros({3}, DType::kFloat32))); }),
              "[" + name + "] the inputs are float64 and float32, they must be the same");
    const Variable n(Tensor::zeros({2, 3}, DType::kInt32));
    EXPECT_EQ(error_of([&] { f.op(n, n); }), "[" + name + "] does not take int32");
  }
}

TEST(BinaryOps, KeepTheMaskAndRefuseTwo) {
  const SequenceMask mask(test::bits({1, 0}, {1, 2})), other(test::bits({1, 1}, {1, 2}));
  const Tensor value = make({1, 2}, {1, 2});
  const Variable x(value, {}, mask), z(value, {}, other), plain(value);
  for (const Binary& f : kBinaries) {
    EXPECT_TRUE(f.op(x, plain).mask() == mask) << f.name;
    EXPECT_TRUE(f.op(plain, x).mask() == mask) << f.name;
    EXPECT_TRUE(f.op(x, x).mask() == mask) << f.name;
    EXPECT_EQ(error_of([&] { f.op(x, z); }),
              std::string("[") + f.name +
                  "] the inputs carry different masks: name intersect_masks() or unite_masks(), or "
                  "drop_mask() one of them");
    const Variable cube(Tensor::zeros({2, 1, 2}, DType::kFloat64));
    EXPECT_THAT(error_of([&] { f.op(x, cube); }), ::testing::HasSubstr("would lose the mask"));
  }
}

TEST(Extrema, ShareTheGradientOfATie) {
  for (const auto op : {ops::maximum, ops::minimum}) {
    const Variable a = leaf(make({1, 5, 3}, {3})), b = leaf(make({1, 3, 5}, {3}));
    Tape tape;
    tape.backward(op(a, b), make({8, 8, 8}, {3}));
    const bool largest = op == ops::maximum;
    EXPECT_THAT(to_doubles(a.grad()), ElementsAre(4, largest ? 8 : 0, largest ? 0 : 8));
    EXPECT_THAT(to_doubles(b.grad()), ElementsAre(4, largest ? 0 : 8, largest ? 8 : 0));
  }
}

TEST(Extrema, GiveTheLoserNothingOfAnInfiniteGradient) {
  for (const auto op : {ops::maximum, ops::minimum}) {
    const Variable a = leaf(make({1, 5}, {2})), b = leaf(make({5, 1}, {2}));
    Tape tape;
    tape.backward(op(a, b), make({kInf, kNaN}, {2}));
    const Variable &first = op == ops::maximum ? b : a, &second = op == ops::maximum ? a : b;
    EXPECT_TRUE(is_close(first.grad(), {kInf, 0}));
    EXPECT_TRUE(is_close(second.grad(), {0, kNaN}));
  }
}

TEST(Extrema, AreNotANumberWhereEitherIs) {
  for (const auto op : {ops::maximum, ops::minimum}) {
    const Tensor y =
        op(Variable(make({kNaN, 1, kNaN, kInf}, {4})), Variable(make({1, kNaN, kNaN, -kInf}, {4})))
            .value();
    const double last = op == ops::maximum ? kInf : -kInf;
    EXPECT_TRUE(is_close(y, {kNaN, kNaN, kNaN, last}));
  }
}

TEST(Divide, GivesInfinityOverZero) {
  EXPECT_TRUE(
      is_close(ops::divide(Variable(make({1, -1, 0}, {3})), Variable(make({0, 0, 0}, {3}))).value(),
               {kInf, -kInf, kNaN}));
}

struct Unary {
  const char* name;
  std::function<Variable(const Variable&)> op;
  double (*meaning)(double);
  double low;
};
const Unary kUnaries[] = {
    {"negate", ops::negate, [](double x) { return -x; }, -3},
    {"scale", [](const Variable& x) { return ops::scale(x, -1.5); },
     [](double x) { return -1.5 * x; }, -3},
    {"exp", ops::exp, [](double x) { return std::exp(x); }, -3},
    {"log", ops::log, [](double x) { return std::log(x); }, 0.1},
    {"sqrt", ops::sqrt, [](double x) { return std::sqrt(x); }, 0},
    {"square", ops::square, [](double x) { return x * x; }, -3},
    {"abs", ops::abs, [](double x) { return std::abs(x); }, -3},
    {"pow", [](const Variable& x) { return ops::pow(x, 1.5); },
     [](double x) { return std::pow(x, 1.5); }, 0},
    {"clip", [](const Variable& x) { return ops::clip(x, -1, 2); },
     [](double x) { return std::min(std::max(x, -1.0), 2.0); }, -3},
};

TEST(UnaryOps, FollowTheirFormulas) {
  Random random(1);
  for (const Unary& f : kUnaries) {
    for (const Shape& shape : {Shape{}, Shape{1}, Shape{0, 3}, Shape{37}, Shape{3, 5, 7}}) {
      const Tensor x = test::uniform(random, shape, f.low, 3);
      for (const DType dtype : test::kFloatingDTypes) {
        std::vector<double> expected;
        for (const double v : to_doubles(x.to(dtype))) expected.push_back(f.meaning(v));
        const Tensor y = f.op(Variable(x.to(dtype))).value();
        EXPECT_EQ(y.shape(), shape);
        EXPECT_TRUE(is_close(y, expected)) << f.name << " of " << to_string(shape);
      }
    }
    EXPECT_EQ(error_of([&] { f.op(Variable(Tensor::zeros({2}, DType::kInt64))); }),
              std::string("[") + f.name + "] does not take int64");
  }
}

TEST(UnaryOps, DoNotDependOnWhereAnElementStands) {
  for (const Unary& f : kUnaries) test::expect_position_does_not_matter(f.name, f.op);
}

TEST(UnaryOps, PassOnInfinitiesAndNotANumber) {
  const Variable x(make({kInf, -kInf, kNaN, 0, -1}, {5}));
  EXPECT_TRUE(is_close(ops::exp(x).value(), {kInf, 0, kNaN, 1, std::exp(-1)}));
  EXPECT_TRUE(is_close(ops::log(x).value(), {kInf, kNaN, kNaN, -kInf, kNaN}));
  EXPECT_TRUE(is_close(ops::sqrt(x).value(), {kInf, kNaN, kNaN, 0, kNaN}));
  EXPECT_TRUE(is_close(ops::abs(x).value(), {kInf, kInf, kNaN, 0, 1}));
}

TEST(Abs, HasNoGradientAtZeroAndKeepsNotANumber) {
  const Variable x = leaf(make({0, -0.0, 2, -2, kNaN, -kInf}, {6}));
  Tape tape;
  tape.backward(ops::abs(x), make({5, 5, 5, 5, 5, 5}, {6}));
  EXPECT_TRUE(is_close(x.grad(), {0, 0, 5, -5, kNaN, -5}));
}

TEST(Negate, ChangesTheSignOfZeroToo) {
  for (const DType dtype : test::kFloatingDTypes) {
    const std::vector<double> y =
        to_doubles(ops::negate(Variable(make({0, -0.0}, {2}, dtype))).value());
    EXPECT_TRUE(std::signbit(y[0]));
    EXPECT_FALSE(std::signbit(y[1]));
  }
}

TEST(Scale, TakesExtremeFactors) {
  const Variable x(make({1e20, -1e-20, 0, 1}, {4}, DType::kFloat32));
  const Variable y = ops::scale(x, -3e38);
  EXPECT_TRUE(is_close(ops::scale(y, 1e-38).value(), {-kInf, 3e-20, 0, -3}));
  EXPECT_TRUE(is_close(ops::scale(x, kInf).value(), {kInf, -kInf, kNaN, kInf}));
  EXPECT_TRUE(is_close(ops::scale(x, kNaN).value(), {kNaN, kNaN, kNaN, kNaN}));
}

TEST(Pow, FollowsStdPowForEverySignAndExponent) {
  const std::vector<double> x = {0, -0.0, 1, -1, 2.5, -2.5, 1e-30, kInf, -kInf, kNaN};
  for (const double p : {0.0, 1.0, 2.0, 3.0, 0.5, -1.0, -2.5, 1.0 / 3}) {
    for (const DType dtype : test::kFloatingDTypes) {
      std::vector<double> expected, rounded = to_doubles(make(x, {10}, dtype));
      for (const double e : rounded) expected.push_back(std::pow(e, p));
      const Tensor y = ops::pow(Variable(make(x, {10}, dtype)), p).value();
      EXPECT_TRUE(is_close(y, to_doubles(make(expected, {10}, dtype)))) << p;
    }
  }
}

// torch.pow(x, p).backward() at x = 0 for each p.
TEST(Pow, HasTheGradientsOfPyTorchAtZero) {
  const std::vector<std::pair<double, double>> expected = {
      {0, 0}, {1, 5}, {2, 0}, {3, 0}, {1.5, 0}, {0.5, kInf}, {-1, -kInf}, {-2, -kInf}};
  for (const auto& [p, slope] : expected) {
    for (const DType dtype : test::kFloatingDTypes) {
      const Variable x = leaf(make({0}, {1}, dtype));
      Tape tape;
      tape.backward(ops::pow(x, p), make({5}, {1}, dtype));
      EXPECT_TRUE(is_close(x.grad(), {slope})) << p;
    }
  }
}

// x^(exponent - 1) is no number of the dtype, but g exponent x^(exponent - 1) is.
TEST(Pow, HasAGradientWhereThePowerOverflowsOrVanishes) {
  for (const DType dtype : test::kFloatingDTypes) {
    const double large = dtype == DType::kFloat32 ? 1e30 : 1e200, small = 1 / large;
    for (const auto& [x, g, exponent, expected] :
         std::initializer_list<std::array<double, 4>>{{small, small, -1, -large},
                                                      {-small, small, -1, -large},
                                                      {large, small, 3, 3 * large},
                                                      {small, large, 3, 3 * small},
                                                      {-small, large, 3, 3 * small}}) {
      const Variable leaf_x = leaf(make({x}, {1}, dtype));
      Tape tape;
      tape.backward(ops::pow(leaf_x, exponent), make({g}, {1}, dtype));
      const double got = to_doubles(leaf_x.grad())[0];
      EXPECT_NEAR(got, expected, 1e-5 * std::abs(expected)) << x << " ^ " << exponent;
    }
  }
}

TEST(Pow, OfExponentZeroIsOneAndSendsNothingBack) {
  const Variable x = leaf(make({kNaN, kInf, -2}, {3}));
  Tape tape;
  const Variable y = ops::pow(x, 0);
  EXPECT_THAT(to_doubles(y.value()), ElementsAre(1, 1, 1));
  tape.backward(y, make({kInf, 1, kNaN}, {3}));
  EXPECT_THAT(to_doubles(x.grad()), ElementsAre(0, 0, 0));
}

TEST(Pow, RefusesAnExponentThatIsNoNumber) {
  const Variable x(make({1}, {1}, DType::kFloat32));
  EXPECT_EQ(error_of([&] { ops::pow(x, kInf); }), "[pow] the exponent must be finite, got inf");
  EXPECT_EQ(error_of([&] { ops::pow(x, 1e39); }), "[pow] exponent 1e+39 is no float32");
}

TEST(Clip, TakesTheNearestNumberAndHasSlopeOneUpToItsBounds) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Variable x = leaf(make({-3, -1, 0.5, 2, 7, kInf, -kInf, kNaN}, {8}, dtype));
    Tape tape;
    const Variable y = ops::clip(x, -1, 2);
    EXPECT_TRUE(is_close(y.value(), {-1, -1, 0.5, 2, 2, 2, -1, kNaN}));
    tape.backward(y, Tensor::full({8}, 4, dtype));
    EXPECT_THAT(to_doubles(x.grad()), ElementsAre(0, 4, 4, 4, 0, 0, 0, 0));
  }
}

TEST(Clip, LetsNothingOfAnInfiniteGradientThroughOutside) {
  const Variable x = leaf(make({-3, 0}, {2}));
  Tape tape;
  tape.backward(ops::clip(x, -1, 1), make({kNaN, kInf}, {2}));
  EXPECT_THAT(to_doubles(x.grad()), ElementsAre(0, kInf));
}

TEST(Clip, TakesBoundsThatAreInfiniteOrEqualAndRefusesOthers) {
  const Variable x(make({-3, 5}, {2}, DType::kFloat32));
  EXPECT_THAT(to_doubles(ops::clip(x, 0, kInf).value()), ElementsAre(0, 5));
  EXPECT_THAT(to_doubles(ops::clip(x, 1, 1).value()), ElementsAre(1, 1));
  EXPECT_EQ(error_of([&] { ops::clip(x, 2, 1); }), "[clip] low must be at most high, got 2 and 1");
  EXPECT_EQ(error_of([&] { ops::clip(x, kNaN, 1); }),
            "[clip] low must be at most high, got nan and 1");
  EXPECT_EQ(error_of([&] { ops::clip(x, 0, 1e39); }), "[clip] high 1e+39 is no float32");
}

TEST(Square, HasAGradientWhereTwiceTheInputOverflows) {
  const Variable x = leaf(make({3e38}, {1}, DType::kFloat32));
  Tape tape;
  tape.backward(ops::square(x), make({1e-3}, {1}, DType::kFloat32));
  EXPECT_TRUE(is_close(ops::scale(Variable(x.grad()), 1e-35).value(), {6}));
}

TEST(Exp, OverflowsAndUnderflowsWithoutComplaint) {
  for (const DType dtype : test::kFloatingDTypes) {
    EXPECT_TRUE(is_close(ops::exp(Variable(make({1000, -1000}, {2}, dtype))).value(), {kInf, 0}));
  }
}

}  // namespace
}  // namespace maskgrad
