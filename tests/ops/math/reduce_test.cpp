#include <set>

#include <gmock/gmock.h>

#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

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
using Axes = std::vector<std::int64_t>;

struct NaiveSum {
  Shape shape;
  std::vector<double> sums;
};

// By the definition: every element is added to the place that its index without `axes` names.
NaiveSum naive_sum(const Tensor& x, const Axes& axes, bool keepdims) {
  std::set<std::int64_t> reduced;
  for (const std::int64_t axis : axes) reduced.insert(axis < 0 ? axis + x.rank() : axis);
  NaiveSum result;
  for (int axis = 0; axis < x.rank(); ++axis) {
    const bool gone = axes.empty() || reduced.contains(axis);
    if (!gone || keepdims) result.shape = result.shape.concat({gone ? 1 : x.dim(axis)});
  }
  result.sums.assign(static_cast<std::size_t>(result.shape.numel()), 0.0);
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    std::int64_t rest = i, place = 0, step = 1;
    for (int axis = x.rank() - 1; axis >= 0; --axis) {
      const std::int64_t index = rest % x.dim(axis);
      rest /= x.dim(axis);
      if (axes.empty() || reduced.contains(axis)) continue;
      place += index * step;
      step *= x.dim(axis);
    }
    result.sums[static_cast<std::size_t>(place)] += x.values<double>()[static_cast<std::size_t>(i)];
  }
  return result;
}

const std::pair<Shape, std::vector<Axes>> kCases[] = {
    {{}, {{}}},
    {{5}, {{}, {0}, {-1}}},
    {{3, 4}, {{}, {0}, {1}, {-1, 0}}},
    {{2, 3, 4, 5}, {{0}, {1}, {2}, {3}, {0, 2}, {1, 3}, {-1, -2}, {0, 1, 2, 3}, {1, 1}}},
    {{1, 7, 1}, {{0}, {1}, {0, 2}}},
    {{100, 37}, {{0}, {1}, {}}},
};

TEST(Sum, AddsAlongAnyAxes) {
  Random random(1);
  for (const auto& [shape, choices] : kCases) {
    const Tensor x = test::uniform(random, shape);
    for (const Axes& axes : choices) {
      for (const bool keepdims : {false, true}) {
        const NaiveSum expected = naive_sum(x, axes, keepdims);
        for (const DType dtype : test::kFloatingDTypes) {
          const Tensor y = ops::sum(Variable(x.to(dtype)), axes, keepdims).value();
          EXPECT_EQ(y.shape(), expected.shape);
          EXPECT_TRUE(is_close(y, expected.sums, dtype == DType::kFloat32 ? 1e-4 : 1e-12));
        }
      }
    }
  }
}

TEST(Mean, DividesTheSumByWhatWasAdded) {
  Random random(2);
  for (const auto& [shape, choices] : kCases) {
    const Tensor x = test::uniform(random, shape);
    for (const Axes& axes : choices) {
      const NaiveSum expected = naive_sum(x, axes, false);
      const double count =
          static_cast<double>(x.numel()) / static_cast<double>(expected.shape.numel());
      std::vector<double> means;
      for (const double sum : expected.sums) means.push_back(sum / count);
      for (const DType dtype : test::kFloatingDTypes) {
        const Tensor y = ops::mean(Variable(x.to(dtype)), axes).value();
        EXPECT_EQ(y.shape(), expected.shape);
        EXPECT_TRUE(is_close(y, means, dtype == DType::kFloat32 ? 1e-5 : 1e-13));
      }
    }
  }
}

TEST(Sum, OverNothingIsZeroAndMeanRefuses) {
  const Variable x = leaf(Tensor::empty({0, 3}, DType::kFloat32));
  {
    Tape tape;
    const Variable y = ops::sum(x, Axes{0});
    EXPECT_THAT(to_doubles(y.value()), ElementsAre(0, 0, 0));
    tape.backward(y, Tensor::full({3}, 1, DType::kFloat32));
    EXPECT_EQ(x.grad().shape(), (Shape{0, 3}));
  }
  EXPECT_EQ(ops::sum(x, Axes{1}).shape(), (Shape{0}));
  EXPECT_EQ(ops::mean(x, Axes{1}).shape(), (Shape{0}));
  EXPECT_EQ(error_of([&] { ops::mean(x, Axes{0}); }),
            "[mean] there is nothing to average in (0, 3)");
  EXPECT_EQ(error_of([&] { ops::mean(x); }), "[mean] there is nothing to average in (0, 3)");
}

TEST(Reductions, NameAnAxisOutOfRange) {
  const Variable x(Tensor::zeros({2, 3}, DType::kFloat32));
  const std::string complaint = " axis 2 is out of range for (2, 3)";
  EXPECT_EQ(error_of([&] { ops::sum(x, Axes{0, 2}); }), "[sum]" + complaint);
  EXPECT_EQ(error_of([&] { ops::mean(x, Axes{2}); }), "[mean]" + complaint);
  EXPECT_EQ(error_of([&] { ops::max(x, 2); }), "[max]" + complaint);
  EXPECT_EQ(error_of([&] { ops::argmax(x.value(), 2); }), "[argmax]" + complaint);
  EXPECT_EQ(error_of([&] { ops::sum(x, Axes{std::int64_t{1} << 32}); }),
            "[sum] axis 4294967296 is out of range for (2, 3)");
  const Variable scalar(Tensor::zeros({}, DType::kFloat32));
  EXPECT_EQ(error_of([&] { ops::sum(scalar, Axes{0}); }), "[sum] axis 0 is out of range for ()");
  EXPECT_EQ(error_of([&] { ops::max(scalar, 0); }), "[max] axis 0 is out of range for ()");
}

TEST(Max, TakesTheFirstOfTheLargest) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Variable x = leaf(make({1, 5, 5, 7, -1, 7}, {2, 3}, dtype));
    Tape tape;
    const Variable y = ops::max(x, -1);
    EXPECT_EQ(y.shape(), (Shape{2}));
    EXPECT_THAT(to_doubles(y.value()), ElementsAre(5, 7));
    tape.backward(y, make({10, 20}, {2}, dtype));
    EXPECT_THAT(to_doubles(x.grad()), ElementsAre(0, 10, 0, 20, 0, 0));
    const Variable constant(x.value());
    EXPECT_THAT(to_doubles(ops::max(constant, 0).value()), ElementsAre(7, 5, 7));
    EXPECT_EQ(ops::max(constant, 0, true).shape(), (Shape{1, 3}));
    EXPECT_THAT(to_doubles(ops::argmax(x.value(), 1)), ElementsAre(1, 0));
    EXPECT_EQ(ops::argmax(x.value(), 1).dtype(), DType::kInt64);
  }
}

TEST(Max, LooksAlongAMiddleAxis) {
  const Variable x(make({1, 8, 3, 4, 5, 6, 7, 2, 9, 0, 1, 2}, {2, 3, 2}));
  EXPECT_THAT(to_doubles(ops::max(x, 1).value()), ElementsAre(5, 8, 9, 2));
  EXPECT_THAT(to_doubles(ops::argmax(x.value(), 1)), ElementsAre(2, 0, 1, 0));
}

TEST(Max, LetsNotANumberWinAndTakesInfinities) {
  EXPECT_TRUE(is_close(
      ops::max(Variable(make({1, kNaN, 3, kNaN, 1, kInf, -kInf, -kInf, -kInf}, {3, 3})), 1).value(),
      {kNaN, kNaN, -kInf}));
  EXPECT_THAT(to_doubles(ops::argmax(make({1, kNaN, kNaN, -kInf, -kInf, -kInf}, {2, 3}), 1)),
              ElementsAre(1, 0));
}

TEST(Max, OverNothingIsRefused) {
  EXPECT_EQ(error_of([] {
              ops::max(Variable(Tensor::empty({2, 0}, DType::kFloat32)), 1);
            }),
            "[max] there is no element along axis 1 of (2, 0)");
  EXPECT_EQ(ops::max(Variable(Tensor::empty({0, 2}, DType::kFloat32)), 1).shape(), (Shape{0}));
}

TEST(Reductions, RefuseIntegers) {
  const Variable n(Tensor::zeros({2, 3}, DType::kInt64));
  EXPECT_EQ(error_of([&] { ops::sum(n); }), "[sum] does not take int64");
  EXPECT_EQ(error_of([&] { ops::mean(n); }), "[mean] does not take int64");
  EXPECT_EQ(error_of([&] { ops::max(n, 0); }), "[max] does not take int64");
}

TEST(Reductions, KeepTheMaskOrRefuseToReadItsHoles) {
  const SequenceMask mask(test::bits({1, 0, 1, 1, 1, 0}, {2, 3}));
  const Variable x(Tensor::zeros({2, 3, 4}, DType::kFloat32), {}, mask);
  EXPECT_TRUE(ops::sum(x, Axes{-1}).mask() == mask);
  EXPECT_TRUE(ops::sum(x, Axes{2}, true).mask() == mask);
  EXPECT_TRUE(ops::mean(x, Axes{2}).mask() == mask);
  EXPECT_TRUE(ops::max(x, -1).mask() == mask);
  const auto refusal = [](const char* op, int axis) {
    return fmt::format(
        "[{}] would read masked places along axis {} of (2, 3, 4); use a masked "
        "form, or drop_mask() on purpose",
        op, axis);
  };
  EXPECT_EQ(error_of([&] { ops::sum(x); }), refusal("sum", 0));
  EXPECT_EQ(error_of([&] { ops::sum(x, Axes{1, 2}); }), refusal("sum", 1));
  EXPECT_EQ(error_of([&] { ops::mean(x, Axes{1}, true); }), refusal("mean", 1));
  EXPECT_EQ(error_of([&] { ops::max(x, 0); }), refusal("max", 0));
  EXPECT_EQ(ops::sum(drop_mask(x)).shape(), Shape{});
}

TEST(Sum, GivesNothingBackToHoles) {
  const SequenceMask mask(test::bits({1, 0}, {1, 2}));
  const Variable x = leaf(make({1, 2, kNaN, kInf}, {1, 2, 2}), mask);
  Tape tape;
  const Variable y = ops::sum(x, Axes{2});
  EXPECT_EQ(to_doubles(y.value())[0], 3);
  tape.backward(y, make({5, kNaN}, {1, 2}));
  EXPECT_THAT(to_doubles(x.grad()), ElementsAre(5, 5, 0, 0));
}

}  // namespace
}  // namespace maskgrad
