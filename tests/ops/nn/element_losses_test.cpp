#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/ops/nn/element_losses.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using ops::SumCount;
using test::bits;
using test::error_of;
using test::is_close;
using test::kInf;
using test::kNaN;
using test::leaf;
using test::make;
using test::same_bits;
using test::to_doubles;
using ::testing::ElementsAre;

TEST(Mse, IsTheSumOfSquaresWithItsCountAndGradients) {
  Random random(1);
  for (const Shape& shape : {Shape{}, Shape{5}, Shape{3, 4}, Shape{2, 70, 9}}) {
    for (const DType dtype : test::kFloatingDTypes) {
      const Variable x = leaf(test::uniform(random, shape).to(dtype)),
                     t = leaf(test::uniform(random, shape).to(dtype));
      const std::vector<double> a = to_doubles(x.value()), b = to_doubles(t.value());
      double sum = 0;
      std::vector<double> slopes, others;
      for (std::size_t i = 0; i < a.size(); ++i) {
        sum += (a[i] - b[i]) * (a[i] - b[i]);
        slopes.push_back(0.5 * 2 * (a[i] - b[i]));
        others.push_back(-slopes.back());
      }
      Tape tape;
      const SumCount loss = ops::mse(x, t);
      EXPECT_EQ(loss.count, shape.numel());
      EXPECT_TRUE(is_close(loss.sum.value(), {sum}));
      tape.backward(loss.sum, 0.5);
      EXPECT_TRUE(is_close(x.grad(), slopes));
      EXPECT_TRUE(is_close(t.grad(), others));
    }
  }
}

TEST(Mse, OfNothingIsZero) {
  const Variable x = leaf(Tensor::zeros({0, 3}, DType::kFloat32));
  Tape tape;
  const SumCount loss = ops::mse(x, Variable(Tensor::zeros({0, 3}, DType::kFloat32)));
  EXPECT_EQ(loss.count, 0);
  EXPECT_EQ(loss.mean().item(), 0);
  tape.backward(loss.sum);
  EXPECT_EQ(x.grad().numel(), 0);
}

TEST(Mse, CountsThePositionsOfTheMaskOnEitherInputAndReadsNoOther) {
  const SequenceMask mask(bits({1, 0, 0, 1}, {2, 2}));
  for (const double poison : {0.0, kNaN, kInf}) {
    const Tensor value = make({1, 2, poison, poison, poison, poison, 3, 4}, {2, 2, 2});
    for (const bool on_target : {false, true}) {
      const Variable x = leaf(value, on_target ? SequenceMask() : mask),
                     t = leaf(Tensor::full({2, 2, 2}, 1, DType::kFloat64),
                              on_target ? mask : SequenceMask());
      Tape tape;
      const SumCount loss = ops::mse(x, t);
      EXPECT_EQ(loss.count, 4);
      EXPECT_EQ(loss.sum.item(), 0 + 1 + 4 + 9);
      tape.backward(loss.sum);
      EXPECT_THAT(to_doubles(x.grad()), ElementsAre(0, 2, 0, 0, 0, 0, 4, 6));
      EXPECT_THAT(to_doubles(t.grad()), ElementsAre(0, -2, 0, 0, 0, 0, -4, -6));
    }
  }
}

// Padded to twice the length, and on three threads.
TEST(ElementLosses, HaveTheSameBitsWithPaddingAndOnAnyNumberOfThreads) {
  Random random(2);
  constexpr std::int64_t kBatch = 9, kLength = 130, kFeatures = 70;
  const Tensor x = test::uniform(random, {kBatch, kLength, kFeatures}).to(DType::kFloat32);
  const Tensor t = test::uniform(random, x.shape(), 0, 1).to(DType::kFloat32);
  const auto padded = [](const Tensor& from) {
    Tensor to = Tensor::full({kBatch, 2 * kLength, kFeatures}, kNaN, DType::kFloat32);
    for (std::int64_t b = 0; b < kBatch; ++b) {
      to[b].view(0, {kLength, kFeatures}).copy_from(from[b]);
    }
    return to;
  };
  const SequenceMask mask = SequenceMask::from_lengths(
      std::vector<std::int64_t>(static_cast<std::size_t>(kBatch), kLength), 2 * kLength);
  const Variable long_x(padded(x), Variable::kConstant, mask);
  const Tensor squares = ops::mse(Variable(x), Variable(t)).sum.value();
  const Tensor entropy = ops::bce_with_logits(Variable(x), t).sum.value();
  for (const int threads : {1, 3}) {
    const test::WithThreads some(threads);
    EXPECT_TRUE(same_bits(ops::mse(long_x, Variable(padded(t))).sum.value(), squares));
    EXPECT_TRUE(same_bits(ops::bce_with_logits(long_x, padded(t)).sum.value(), entropy));
    EXPECT_TRUE(same_bits(ops::mse(Variable(x), Variable(t)).sum.value(), squares));
  }
}

// One sample is cut too.
TEST(ElementLosses, OfOneLongSampleHaveTheSameBitsOnAnyNumberOfThreads) {
  Random random(3);
  for (const Shape& shape : {Shape{1, 100'003}, Shape{100'003}, Shape{2, 50'001}}) {
    const Variable x(test::uniform(random, shape).to(DType::kFloat32));
    const Tensor t = test::uniform(random, shape, 0, 1).to(DType::kFloat32);
    const Tensor squares = ops::mse(x, Variable(t)).sum.value();
    const Tensor entropy = ops::bce_with_logits(x, t).sum.value();
    const test::WithThreads three(3);
    EXPECT_TRUE(same_bits(ops::mse(x, Variable(t)).sum.value(), squares));
    EXPECT_TRUE(same_bits(ops::bce_with_logits(x, t).sum.value(), entropy));
  }
}

TEST(BceWithLogits, NamesTheFirstTargetThatIsOutsideOnAnyNumberOfThreads) {
  Tensor t = Tensor::zeros({1, 200'000}, DType::kFloat32);
  for (const std::int64_t wrong : {190'000, 120'000, 70'001}) t.view(wrong, {}).fill(2);
  const Variable x(Tensor::zeros(t.shape(), DType::kFloat32));
  for (const int threads : {1, 3}) {
    const test::WithThreads some(threads);
    EXPECT_THAT(error_of([&] { ops::bce_with_logits(x, t); }),
                ::testing::StartsWith("[bce_with_logits] target 2 at element 70001 is outside"));
  }
}

TEST(Mse, RefusesWhatDoesNotFit) {
  const Variable x(Tensor::zeros({3}, DType::kFloat32));
  EXPECT_EQ(error_of([&] {
              ops::mse(x, Variable(Tensor::zeros({3, 1}, DType::kFloat32)));
            }),
            "[mse] the inputs must have one shape, got (3,) and (3, 1); reshape() or "
            "broadcast_to() on purpose");
  EXPECT_EQ(error_of([&] { ops::mse(x, Variable(Tensor::zeros({3}, DType::kFloat64))); }),
            "[mse] the inputs are float32 and float64, they must be the same");
  const Tensor value = make({1, 2}, {1, 2});
  EXPECT_EQ(error_of([&] {
              ops::mse(Variable(value, {}, SequenceMask(bits({1, 0}, {1, 2}))),
                       Variable(value, {}, SequenceMask(bits({0, 1}, {1, 2}))));
            }),
            "[mse] the inputs carry different masks: name intersect_masks() or unite_masks(), or "
            "drop_mask() one of them");
}

TEST(BceWithLogits, FollowsItsFormulaAndItsSlope) {
  const std::vector<double> logits = {-3, -0.5, 0, 0.25, 2, 7}, targets = {0, 1, 0.5, 0.2, 1, 0.9};
  double sum = 0;
  std::vector<double> slopes;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double p = 1 / (1 + std::exp(-logits[i]));
    sum -= targets[i] * std::log(p) + (1 - targets[i]) * std::log(1 - p);
    slopes.push_back(p - targets[i]);
  }
  for (const DType dtype : test::kFloatingDTypes) {
    const Variable x = leaf(make(logits, {2, 3}, dtype));
    Tape tape;
    const SumCount loss = ops::bce_with_logits(x, make(targets, {2, 3}, dtype));
    EXPECT_EQ(loss.count, 6);
    EXPECT_TRUE(is_close(loss.sum.value(), {sum}));
    tape.backward(loss.sum);
    EXPECT_TRUE(is_close(x.grad(), slopes));
  }
}

// log(1 + e^-100) = e^-100, and the slope there -e^-100: sigmoid(x) - 1 would be 0.
TEST(BceWithLogits, KeepsItsDigitsForLargeLogits) {
  const auto loss_and_slope = [](double logit, double target, DType dtype) {
    const Variable x = leaf(make({logit}, {1}, dtype));
    Tape tape;
    const SumCount loss = ops::bce_with_logits(x, make({target}, {1}, dtype));
    tape.backward(loss.sum);
    return std::pair(loss.sum.item(), to_doubles(x.grad())[0]);
  };
  for (const double sign : {1.0, -1.0}) {
    const double target = sign > 0 ? 1 : 0, tail = std::exp(-60.0);
    for (const DType dtype : test::kFloatingDTypes) {
      const auto [right, slope] = loss_and_slope(sign * 60, target, dtype);
      EXPECT_NEAR(right / tail, 1, 1e-6);
      EXPECT_NEAR(slope / -sign / tail, 1, 1e-6);
      const auto [wrong, steep] = loss_and_slope(-sign * 60, target, dtype);
      EXPECT_DOUBLE_EQ(wrong, 60);
      EXPECT_DOUBLE_EQ(steep, -sign);
      const auto [largest, last] = loss_and_slope(-sign * 3e38, target, dtype);
      EXPECT_FLOAT_EQ(static_cast<float>(largest), 3e38F);
      EXPECT_DOUBLE_EQ(last, -sign);
    }
  }
}

TEST(BceWithLogits, ReadsNoTargetInAHoleAndRefusesOneThatCountsOutsideZeroToOne) {
  const SequenceMask mask(bits({1, 0}, {1, 2}));
  const Variable x = leaf(make({0, kNaN}, {1, 2}), mask);
  for (const double poison : {5.0, kNaN}) {
    Tape tape;
    const SumCount loss = ops::bce_with_logits(x, make({1, poison}, {1, 2}));
    EXPECT_EQ(loss.count, 1);
    EXPECT_DOUBLE_EQ(loss.sum.item(), std::log(2.0));
  }
  for (const double target : {-0.1, 1.5, kNaN}) {
    EXPECT_THAT(error_of([&] {
                  ops::bce_with_logits(x, make({target, 0}, {1, 2}));
                }),
                ::testing::HasSubstr("at element 0 is outside 0 .. 1; to leave targets out, put a "
                                     "mask on the logits with with_mask()"));
  }
  EXPECT_EQ(error_of([&] {
              ops::bce_with_logits(x, make({1}, {1, 1}));
            }),
            "[bce_with_logits] the inputs must have one shape, got (1, 2) and (1, 1); reshape() or "
            "broadcast_to() on purpose");
}

}  // namespace
}  // namespace maskgrad
