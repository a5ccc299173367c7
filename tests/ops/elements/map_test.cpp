#include <cmath>
#include <vector>

#include <gmock/gmock.h>

#include <maskgrad/ops/elements/map.hpp>
#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>

#include "support/errors.hpp"
#include "support/gradient_check.hpp"
#include "support/tensors.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::kFloatingDTypes;
using test::leaf;
using test::make;
using test::same_bits;
using test::to_doubles;
using test::uniform;
using ::testing::ElementsAre;

OpDef described(const char* name, std::vector<const char*> inputs) {
  OpDef op;
  op.name = name;
  for (const char* input : inputs) {
    op.inputs.push_back({.name = input, .reach = Reach::kElement});
  }
  op.mask_rule = MaskRule::kKeeps;
  return op;
}

// Nodes refer to these.
const OpDef kGelu = described("own_gelu", {"input"});
const OpDef kRatio = described("ratio", {"a", "b"});
const OpDef kBlend = described("blend", {"a", "b", "share"});

constexpr double kScale = 0.7978845608028654, kCubic = 0.044715;

Variable own_gelu(const Variable& x) {
  const auto inner = [](auto v) { return kScale * (v + kCubic * v * v * v); };
  return ops::elementwise(
      kGelu, {&x}, [=](auto v) { return 0.5 * v * (1 + tanh(inner(v))); },
      [=](auto v, auto g) {
        const auto t = tanh(inner(v));
        return g * (0.5 * (1 + t) + 0.5 * v * (1 - t * t) * kScale * (1 + 3 * kCubic * v * v));
      });
}

// a / (1 + b^2)
Variable ratio(const Variable& a, const Variable& b) {
  return ops::elementwise(
      kRatio, {&a, &b}, [](auto x, auto y) { return x / (1 + y * y); },
      [](auto, auto y, auto g) { return g / (1 + y * y); },
      [](auto x, auto y, auto g) {
        const auto d = 1 + y * y;
        return -2 * g * x * y / (d * d);
      });
}

Variable blend(const Variable& a, const Variable& b, const Variable& share) {
  return ops::elementwise(
      kBlend, {&a, &b, &share}, [](auto x, auto y, auto s) { return x + s * (y - x); },
      [](auto, auto, auto s, auto g) { return g * (1 - s); },
      [](auto, auto, auto s, auto g) { return g * s; },
      [](auto x, auto y, auto, auto g) { return g * (y - x); });
}

OpDef with_factor() {
  OpDef op = described("times", {"input"});
  op.args = {{"factor", 1.0}};
  return op;
}
const OpDef kTimes = with_factor();

TEST(MapEach, ComputesEveryElementWhateverTheSize) {
  Random random(1);
  for (const std::int64_t n : {0, 1, 31, 32, 33, 63, 64, 65, 127, 1000, 40000}) {
    for (const DType dtype : kFloatingDTypes) {
      const Tensor x = uniform(random, {n}).to(dtype);
      const Tensor y = ops::map_each(
          "own", [](auto a) { return 2 * a - 1; }, x);
      EXPECT_TRUE(test::is_close(y, [&] {
        std::vector<double> want = to_doubles(x);
        for (double& v : want) v = 2 * v - 1;
        return want;
      }()));
      EXPECT_EQ(y.dtype(), dtype);
    }
  }
  EXPECT_EQ(ops::map_each(
                "own", [](auto) { return 3; }, make({1}, {}))
                .item(),
            3);
  EXPECT_EQ(ops::map_each(
                "own", [](auto a) { return a; }, make({}, {2, 0, 3}))
                .shape(),
            (Shape{2, 0, 3}));
}

// The element of x that stands at place i of a tensor of `shape` when x is broadcast to it.
double broadcast_at(const Tensor& x, const Shape& shape, std::int64_t i) {
  std::int64_t place = 0, step = 1;
  for (int k = shape.rank() - 1, m = x.rank() - 1; k >= 0; --k, --m) {
    const std::int64_t index = i % shape.dim(k);
    i /= shape.dim(k);
    if (m < 0) continue;
    if (x.dim(m) > 1) place += index * step;
    step *= x.dim(m);
  }
  return std::as_const(x).data<double>()[place];
}

TEST(MapEach, BroadcastsAsNumPyDoes) {
  Random random(2);
  const std::vector<std::vector<Shape>> cases = {{{3, 4}, {4}, {3, 4}},
                                                 {{3, 1}, {1, 4}, {3, 4}},
                                                 {{}, {2, 3}, {2, 3}},
                                                 {{5, 1, 7}, {6, 1}, {5, 6, 7}},
                                                 {{100}, {70, 1}, {70, 100}},
                                                 {{0, 3}, {1}, {0, 3}},
                                                 {{1}, {}, {1}},
                                                 {{2, 3, 1, 5}, {3, 4, 5}, {2, 3, 4, 5}}};
  for (const auto& shapes : cases) {
    const Tensor a = uniform(random, shapes[0]), b = uniform(random, shapes[1]);
    const Tensor y = ops::map_each(
        "own", [](auto x, auto z) { return x - 2 * z; }, a, b);
    ASSERT_EQ(y.shape(), shapes[2]);
    for (std::int64_t i = 0; i < y.numel(); ++i) {
      ASSERT_NEAR(std::as_const(y).data<double>()[i],
                  broadcast_at(a, y.shape(), i) - 2 * broadcast_at(b, y.shape(), i), 1e-15)
          << i;
    }
  }
}

TEST(MapEach, GivesTheSameBitsInEveryPlaceAndOnEveryNumberOfThreads) {
  Random random(3);
  const auto f = [](auto x) { return exp(x) * x + tanh(x) / 3 - x * x * 0.1; };
  for (const DType dtype : kFloatingDTypes) {
    const Tensor x = uniform(random, {100000}).to(dtype);
    const Tensor y = ops::map_each("own", f, x);
    for (const int threads : {2, 3}) {
      const test::WithThreads with(threads);
      EXPECT_TRUE(same_bits(ops::map_each("own", f, x), y));
    }
    for (const std::int64_t first : {1, 5, 99990}) {
      const Shape rest = {100000 - first};
      EXPECT_TRUE(same_bits(ops::map_each("own", f, x.view(first, rest)), y.view(first, rest)));
    }
  }
}

TEST(MapEach, WritesIntoATensorThatMayBeAnInput) {
  Tensor x = make({1, 2, 3}, {3});
  ops::map_each_into(
      "own", x, [](auto a, auto b) { return a + b; }, x, make({10}, {}));
  EXPECT_THAT(to_doubles(x), ElementsAre(11, 12, 13));
}

TEST(MapEach, RefusesWhatDoesNotFit) {
  const auto sum = [](auto a, auto b) { return a + b; };
  const auto same = [](auto a) { return a; };
  const Tensor x = make({1, 2}, {2});
  EXPECT_EQ(error_of([&] { ops::map_each("own", same, make({1}, {1}, DType::kInt64)); }),
            "[own] does not take int64");
  EXPECT_EQ(error_of([&] { ops::map_each("own", sum, x, make({1}, {1}, DType::kFloat32)); }),
            "[own] the inputs are float64 and float32, they must be the same");
  EXPECT_EQ(error_of([&] {
              ops::map_each("own", sum, x, make({1, 2, 3}, {3}));
            }),
            "[own] shapes do not broadcast: (2,) and (3,)");
  EXPECT_EQ(error_of([&] { ops::map_each("own", sum, x, Tensor()); }),
            "[own] an input was used before it was given a value");
  Tensor y = make({1}, {1}), none;
  EXPECT_EQ(error_of([&] { ops::map_each_into("own", y, same, x); }),
            "[own] an output of float64 (1,) does not hold float64 (2,)");
  EXPECT_EQ(error_of([&] { ops::map_each_into("own", none, same, x); }),
            "[own] the output was used before it was given a value");
}

TEST(Elementwise, HasTheValuesAndGradientsOfTheSameOperationInTheLibrary) {
  Random random(4);
  for (const DType dtype : kFloatingDTypes) {
    const Tensor values = uniform(random, {33, 41}, -4, 4).to(dtype);
    const Variable x = leaf(values.clone()), z = leaf(values.clone());
    Tape tape;
    const Variable y = own_gelu(x), want = ops::gelu_tanh(z);
    const double tolerance = dtype == DType::kFloat32 ? 2e-6 : 4e-15;
    EXPECT_TRUE(test::is_close(y.value(), to_doubles(want.value()), tolerance));
    tape.backward(ops::add(ops::sum(y), ops::sum(want)));
    EXPECT_TRUE(test::is_close(x.grad(), to_doubles(z.grad()), tolerance));
  }
}

TEST(Elementwise, SumsGradientsOverWhatWasBroadcast) {
  Random random(5);
  const Variable a = leaf(uniform(random, {4, 3})), b = leaf(uniform(random, {3}));
  const Variable share = leaf(uniform(random, {4, 1}));
  EXPECT_TRUE(test::gradients_agree([&] { return ops::sum(ratio(a, b)); }, {{"a", a}, {"b", b}}));
  EXPECT_TRUE(test::gradients_agree([&] { return ops::sum(ops::square(blend(a, b, share))); },
                                    {{"a", a}, {"b", b}, {"share", share}}));
}

TEST(Elementwise, ComputesNoGradientThatNobodyTakes) {
  const Variable a(make({1, 2}, {2})), b = leaf(make({3, 4}, {2}));
  Tape tape;
  tape.backward(ops::sum(ratio(a, b)));
  EXPECT_FALSE(a.requires_grad());
  EXPECT_THAT(to_doubles(b.grad()), ElementsAre(-2 * 1 * 3 / 100.0, -2 * 2 * 4 / 289.0));
}

TEST(Elementwise, KeepsTheMaskAndSendsNothingThroughItsHoles) {
  const SequenceMask mask(test::bits({1, 0}, {1, 2}));
  const Variable x = leaf(make({2, test::kNaN}, {1, 2}), mask);
  Tape tape;
  const Variable y = own_gelu(x);
  EXPECT_TRUE(y.mask() == mask);
  tape.backward(y, make({1, 1}, {1, 2}));
  EXPECT_EQ(to_doubles(x.grad())[1], 0);
}

TEST(Elementwise, TellsItsArguments) {
  const Variable x = leaf(make({1, 2}, {2}));
  const double factor = 2.5;
  const Tape tape({.trace = true});
  const Variable y = ops::elementwise(
      kTimes, {&x}, {{"factor", factor}}, [=](auto a) { return factor * a; },
      [=](auto, auto g) { return factor * g; });
  EXPECT_THAT(to_doubles(y.value()), ElementsAre(2.5, 5));
  EXPECT_THAT(tape.to_string(), ::testing::HasSubstr("factor: 2.5"));
}

TEST(Elementwise, RefusesWhatDoesNotFitItsDescription) {
  const Variable x = leaf(make({1, 2}, {2}));
  const auto same = [](auto a) { return a; };
  const auto first = [](auto, auto g) { return g; };
  EXPECT_EQ(error_of([&] { own_gelu(Variable()); }),
            "[own_gelu] input 'input' was used before it was given a value");
  EXPECT_EQ(error_of([&] { ops::elementwise(kRatio, {&x}, same, first); }),
            "[ratio] the number of inputs is 1, and its description says 2");
  EXPECT_EQ(error_of([&] {
              ops::elementwise(kRatio, {&x, &x}, same, first);
            }),
            "[ratio] the number of inputs is 2, and that of gradients 1");
  Tape tape;
  const Variable y = own_gelu(x);
  Tensor values = x.value();
  values.fill(3);
  EXPECT_EQ(error_of([&] {
              tape.backward(y, make({1, 1}, {2}));
            }),
            "[own_gelu] the value of input 'input' was written to after the forward pass, and its "
            "gradient needs it");
}

}  // namespace
}  // namespace maskgrad
