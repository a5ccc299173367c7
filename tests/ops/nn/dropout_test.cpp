#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/ops/nn/dropout.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::kInf;
using test::kNaN;
using test::leaf;
using test::make;
using test::same_bits;
using test::to_doubles;

constexpr std::int64_t kMany = 20000;

Tensor dropped_ones(double p, Random random, std::int64_t size = kMany,
                    DType dtype = DType::kFloat64) {
  return ops::dropout(Variable(Tensor::full({size}, 1, dtype)), p, random).value();
}

std::int64_t count_dropped(const Tensor& y) {
  const std::vector<double> values = to_doubles(y);
  return std::count(values.begin(), values.end(), 0.0);
}

TEST(Dropout, LeavesOutTheShareThatIsAskedForAndScalesTheRest) {
  for (const double p : {0.01, 0.1, 0.5, 0.9}) {
    for (const DType dtype : test::kFloatingDTypes) {
      const Tensor y = dropped_ones(p, Random(1), kMany, dtype);
      // Within five standard deviations of a binomial count.
      const auto many = static_cast<double>(kMany);
      EXPECT_NEAR(static_cast<double>(count_dropped(y)), p * many,
                  5 * std::sqrt(p * (1 - p) * many));
      for (const double value : to_doubles(y)) {
        if (value != 0) {
          ASSERT_NEAR(value, 1 / (1 - p), test::tolerance(dtype) / (1 - p));
        }
      }
    }
  }
}

TEST(Dropout, LeavesOutEachElementByItself) {
  const std::vector<double> y = to_doubles(dropped_ones(0.5, Random(2)));
  int alike = 0;
  for (std::size_t i = 1; i < y.size(); ++i) alike += y[i] == y[i - 1];
  EXPECT_NEAR(alike, (kMany - 1) / 2.0, 5 * std::sqrt((kMany - 1) / 4.0));
}

TEST(Dropout, DrawsTheSameForOneSeedStreamAndStepAndAnotherForAnyOther) {
  const Tensor y = dropped_ones(0.5, Random(1, 2, 3));
  EXPECT_TRUE(same_bits(dropped_ones(0.5, Random(1, 2, 3)), y));
  EXPECT_FALSE(same_bits(dropped_ones(0.5, Random(4, 2, 3)), y));
  EXPECT_FALSE(same_bits(dropped_ones(0.5, Random(1, 4, 3)), y));
  EXPECT_FALSE(same_bits(dropped_ones(0.5, Random(1, 2, 4)), y));
  EXPECT_TRUE(same_bits(dropped_ones(0.5, Random(1, 2, 3), 100), y.view(0, {100})))
      << "what is drawn for an element depends on how many there are";
  const test::WithThreads threads(3);
  EXPECT_TRUE(same_bits(dropped_ones(0.5, Random(1, 2, 3)), y));
}

TEST(Dropout, DropsTheSameElementsInEveryDTypeAndShape) {
  const Tensor wide = dropped_ones(0.5, Random(7), 60);
  EXPECT_TRUE(
      same_bits(dropped_ones(0.5, Random(7), 60, DType::kFloat32), wide.to(DType::kFloat32)));
  const Variable x(Tensor::full({3, 4, 5}, 1, DType::kFloat64));
  EXPECT_TRUE(same_bits(ops::dropout(x, 0.5, Random(7)).value(), wide.reshape({3, 4, 5})));
}

TEST(Dropout, OfAShareOfZeroIsTheValueItself) {
  const Variable x = leaf(make({1, kNaN, -0.0, kInf}, {4}));
  Tape tape;
  const Variable y = ops::dropout(x, 0, Random(1));
  EXPECT_TRUE(y.value().is_same_view(x.value()));
  EXPECT_EQ(tape.nodes().size(), 0);
}

TEST(Dropout, WritesZeroForWhatItDropsForwardAndBackward) {
  for (const DType dtype : test::kFloatingDTypes) {
    const std::vector<double> kept = to_doubles(dropped_ones(0.5, Random(3), 64));
    for (const double poison : {kNaN, kInf, -kInf, -1.0}) {
      std::vector<double> x(64, poison), g = x, y(64), dx(64);
      for (std::size_t i = 0; i < 64; ++i) {
        if (kept[i] == 0) continue;
        x[i] = static_cast<double>(i) + 1;
        g[i] = -x[i];
        y[i] = 2 * x[i];
        dx[i] = 2 * g[i];
      }
      const Variable input = leaf(make(x, {64}, dtype));
      Tape tape;
      const Variable output = ops::dropout(input, 0.5, Random(3));
      tape.backward(output, make(g, {64}, dtype));
      EXPECT_TRUE(same_bits(output.value(), make(y, {64}, dtype))) << poison;
      EXPECT_TRUE(same_bits(input.grad(), make(dx, {64}, dtype))) << poison;
    }
  }
}

TEST(Dropout, GivesEachPositionTheNumbersOfItsPlace) {
  constexpr std::int64_t kFeatures = 5;
  const Random random(1, 2, 3);
  const Tensor places = Tensor::from<std::int64_t>({4, 0, 1000, 4}, {2, 2});
  const Variable x(Tensor::full({2, 2, kFeatures}, 1, DType::kFloat64));
  const Tensor y = ops::dropout(x, 0.5, random, places).value();
  for (std::int64_t row = 0; row < 4; ++row) {
    const std::int64_t place = places.data<std::int64_t>()[row];
    const Tensor expected = dropped_ones(0.5, random, (place + 1) * kFeatures);
    EXPECT_TRUE(same_bits(y.view(row * kFeatures, {kFeatures}),
                          expected.view(place * kFeatures, {kFeatures})));
  }
  const test::WithThreads threads(3);
  EXPECT_TRUE(same_bits(ops::dropout(x, 0.5, random, places).value(), y));
}

TEST(Dropout, RefusesPlacesThatDoNotFit) {
  const auto error = [](const Shape& shape, const Tensor& places) {
    return error_of([&] {
      ops::dropout(Variable(Tensor::zeros(shape, DType::kFloat64)), 0.5, Random(1), places);
    });
  };
  const auto place = [](std::int64_t value) { return Tensor::from<std::int64_t>({value}, {1, 1}); };
  EXPECT_EQ(
      error({1, 1, 2}, Tensor()),
      "[dropout] needs x [B, S, ...] and places int64 [B, S]; got (1, 1, 2) and no places ()");
  EXPECT_EQ(error({2, 1, 2}, place(0)),
            "[dropout] needs x [B, S, ...] and places int64 [B, S]; got (2, 1, 2) and int64 (1, "
            "1)");
  EXPECT_EQ(error({1}, Tensor::zeros({1}, DType::kInt64)),
            "[dropout] needs x [B, S, ...] and places int64 [B, S]; got (1,) and int64 (1,)");
  EXPECT_EQ(error({1, 1, 2}, place(-1)), "[dropout] place -1 is below 0");
  EXPECT_EQ(error({1, 1, 4}, place(std::int64_t{1} << 62)),
            "[dropout] place 4611686018427387904 is too large for 4 elements a position");
  EXPECT_EQ(error({0, 3, 2}, Tensor::zeros({0, 3}, DType::kInt64)), "no error");
  EXPECT_EQ(error({1, 1, 0}, place(5)), "no error");
}

TEST(Dropout, KeepsTheMaskAndTakesNothing) {
  const SequenceMask mask(test::bits({1, 0, 1}, {1, 3}));
  const Variable x(make({1, kNaN, 3}, {1, 3}), {}, mask);
  EXPECT_TRUE(ops::dropout(x, 0.5, Random(1)).mask() == mask);
  EXPECT_TRUE(ops::dropout(x, 0, Random(1)).mask() == mask);
  EXPECT_EQ(ops::dropout(Variable(make({}, {0, 2})), 0.5, Random(1)).shape(), (Shape{0, 2}));
}

TEST(Dropout, RefusesAShareThatIsNone) {
  const auto error = [](double p, DType dtype = DType::kFloat32) {
    return error_of([&] { ops::dropout(Variable(Tensor::zeros({2}, dtype)), p, Random(1)); });
  };
  EXPECT_EQ(error(1), "[dropout] p must be at least 0 and below 1, got 1");
  EXPECT_EQ(error(-0.1), "[dropout] p must be at least 0 and below 1, got -0.1");
  EXPECT_EQ(error(kNaN), "[dropout] p must be at least 0 and below 1, got nan");
  EXPECT_EQ(error(0.5, DType::kInt32), "[dropout] does not take int32");
}

}  // namespace
}  // namespace maskgrad
