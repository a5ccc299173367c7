#include <algorithm>
#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/nn/loss.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

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
using ::testing::Each;

Tensor ids(const std::vector<double>& values, const Shape& shape, DType dtype = DType::kInt64) {
  return make(values, shape, dtype);
}

Tensor random_ids(Random& random, const Shape& shape, std::uint32_t bound) {
  Tensor x = Tensor::empty(shape, DType::kInt64);
  for (std::int64_t i = 0; i < x.numel(); ++i) x.data<std::int64_t>()[i] = random.below(bound);
  return x;
}

TEST(CrossEntropy, SumsTheNegativeLogOfTheSoftmaxAtTheTargets) {
  Random random(1);
  const Tensor logits = test::uniform(random, {4, 3, 21});
  const Tensor targets = random_ids(random, {4, 3}, 21);
  for (const DType dtype : test::kFloatingDTypes) {
    const std::vector<double> x = to_doubles(logits.to(dtype)), t = to_doubles(targets);
    double expected = 0;
    for (std::size_t row = 0; row < 12; ++row) {
      double sum = 0;
      for (std::size_t j = 0; j < 21; ++j) sum += std::exp(x[row * 21 + j]);
      expected += std::log(sum) - x[row * 21 + static_cast<std::size_t>(t[row])];
    }
    for (const DType of_targets : {DType::kInt32, DType::kInt64}) {
      const ops::SumCount loss =
          ops::cross_entropy(Variable(logits.to(dtype)), targets.to(of_targets));
      EXPECT_TRUE(is_close(loss.sum.value(), {expected}));
      EXPECT_TRUE(is_close(loss.mean().value(), {expected / 12}));
      EXPECT_EQ(loss.count, 12);
      EXPECT_EQ(loss.sum.shape(), Shape{});
      EXPECT_EQ(loss.sum.dtype(), dtype);
    }
  }
}

TEST(CrossEntropy, HasTheGradientThatDifferencesGive) {
  Random random(2);
  const Variable logits = leaf(test::uniform(random, {2, 3, 5}));
  const Tensor targets = random_ids(random, {2, 3}, 5);
  EXPECT_TRUE(test::gradients_agree([&] { return ops::cross_entropy(logits, targets).mean(); },
                                    {{"logits", logits}}));
}

TEST(CrossEntropy, IsStableForLargeLogits) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Variable logits = leaf(make({1e4, 1e4 - 0.5, -1e4, -1e4}, {2, 2}, dtype));
    Tape tape;
    const ops::SumCount loss = ops::cross_entropy(logits, ids({1, 0}, {2}));
    const double p = 1 / (1 + std::exp(-0.5));
    EXPECT_TRUE(is_close(loss.sum.value(), {0.5 - std::log(p) + std::log(2)}));
    tape.backward(loss.sum);
    EXPECT_TRUE(is_close(logits.grad(), {p, -p, -0.5, 0.5}));
  }
  const Variable far(make({-1e4, 1e4}, {1, 2}, DType::kFloat32));
  EXPECT_EQ(ops::cross_entropy(far, ids({0}, {1})).sum.item(), 2e4);
  EXPECT_EQ(ops::cross_entropy(far, ids({1}, {1})).sum.item(), 0);
}

TEST(CrossEntropy, CountsTheKeptPositionsOnlyAndNeverReadsTheOthers) {
  const SequenceMask mask(test::bits({1, 0, 0, 1}, {2, 2}));
  Random random(3);
  const Tensor x = test::uniform(random, {2, 2, 3});
  for (const DType dtype : test::kFloatingDTypes) {
    const auto run = [&](double poison, double hidden_target) {
      Tensor value = x.to(dtype).clone();
      fill_holes(value, mask, poison);
      const Variable logits = leaf(value, mask);
      Tape tape;
      const auto loss =
          ops::cross_entropy(logits, ids({2, hidden_target, hidden_target, 0}, {2, 2}));
      EXPECT_EQ(loss.count, 2);
      const Variable mean = loss.mean();
      EXPECT_FALSE(mean.mask().defined());
      tape.backward(mean);
      return std::pair(loss.sum.value(), logits.grad());
    };
    const auto clean = run(0, 0);
    for (const double poison : {1e30, kInf, -kInf, kNaN}) {
      const auto poisoned = run(poison, -100);
      EXPECT_TRUE(test::same_bits(poisoned.first, clean.first)) << poison;
      EXPECT_TRUE(test::same_bits(poisoned.second, clean.second)) << poison;
    }
    EXPECT_TRUE(test::same_bits(clean.second.view(3, {6}), Tensor::zeros({6}, dtype)));
    EXPECT_EQ(run(0, 0).first.item(), clean.first.item());
  }
}

TEST(CrossEntropy, EqualsThatOfTheKeptRowsAlone) {
  const SequenceMask mask(test::bits({1, 0, 1, 1}, {1, 4}));
  Random random(4);
  const Tensor x = test::uniform(random, {1, 4, 30});
  Tensor kept = Tensor::empty({3, 30}, DType::kFloat64);
  kept.view(0, {30}).copy_from(x.view(0, {30}));
  kept.view(30, {60}).copy_from(x.view(60, {60}));
  const auto masked = ops::cross_entropy(Variable(x, {}, mask), ids({4, 9, 7, 0}, {1, 4}));
  const auto alone = ops::cross_entropy(Variable(kept), ids({4, 7, 0}, {3}));
  EXPECT_TRUE(test::same_bits(masked.sum.value(), alone.sum.value()));
  EXPECT_EQ(masked.count, alone.count);
}

TEST(CrossEntropy, OfNothingIsZeroOfZeroWithZeroGradient) {
  const SequenceMask nothing(test::bits({0, 0}, {1, 2}));
  const auto expect_zero = [](const Variable& logits, const Tensor& targets) {
    Tape tape;
    const auto loss = ops::cross_entropy(logits, targets);
    EXPECT_EQ(loss.sum.item(), 0);
    EXPECT_EQ(loss.count, 0);
    const Variable mean = loss.mean();
    EXPECT_EQ(mean.item(), 0);
    tape.backward(mean);
    EXPECT_THAT(to_doubles(logits.grad()), Each(0));
  };
  expect_zero(leaf(make({kNaN, 1, 2, kInf, 4, 5}, {1, 2, 3}), nothing), ids({9, 9}, {1, 2}));
  expect_zero(leaf(Tensor::empty({0, 5}, DType::kFloat32)), ids({}, {0}));
}

TEST(CrossEntropy, AddsUpOverPartsOfABatch) {
  Random random(5);
  const Variable whole = leaf(test::uniform(random, {6, 4}));
  const Tensor targets = random_ids(random, {6}, 4);
  Tape().backward(ops::cross_entropy(whole, targets).sum);
  double sum = 0;
  for (const std::int64_t half : {0, 1}) {
    const Variable part = leaf(whole.value().view(half * 12, {3, 4}));
    Tape tape;
    const auto loss = ops::cross_entropy(part, targets.view(half * 3, {3}));
    tape.backward(loss.sum);
    sum += loss.sum.item();
    EXPECT_TRUE(test::same_bits(part.grad(), whole.grad().view(half * 12, {3, 4})));
  }
  EXPECT_NEAR(sum, ops::cross_entropy(Variable(whole.value()), targets).sum.item(), 1e-14);
}

const std::string kOutside =
    " is outside the 3 classes; to leave targets out, put a mask [B, S] on the logits [B, S, V] "
    "with with_mask()";

TEST(CrossEntropy, LeavesOutWhatItsErrorSaysHowToLeaveOut) {
  const Variable x(make({1, 2, 4, 0, 5, 1}, {1, 2, 3}));
  const Tensor targets = ids({2, -100}, {1, 2});
  const Variable logits = ops::with_mask(x, SequenceMask(test::bits({1, 0}, {1, 2})));
  const ops::SumCount loss = ops::cross_entropy(logits, targets);
  EXPECT_EQ(loss.count, 1);
  EXPECT_NEAR(loss.sum.item(), std::log(std::exp(-3) + std::exp(-2) + 1), 1e-15);
  EXPECT_EQ(ops::accuracy(logits, targets).hits.item(), 1);
}

TEST(CrossEntropy, RefusesTargetsThatDoNotFit) {
  const Variable x(Tensor::zeros({2, 3}, DType::kFloat32));
  EXPECT_EQ(error_of([&] {
              ops::cross_entropy(x, ids({0, 3}, {2}));
            }),
            "[cross_entropy] target 3 at element 1" + kOutside);
  EXPECT_EQ(error_of([&] {
              ops::cross_entropy(x, ids({-1, 3}, {2}));
            }),
            "[cross_entropy] target -1 at element 0" + kOutside);
  // What other frameworks take for "ignore".
  EXPECT_EQ(error_of([&] {
              ops::cross_entropy(x, ids({0, -100}, {2}));
            }),
            "[cross_entropy] target -100 at element 1" + kOutside);
  EXPECT_EQ(error_of([&] { ops::cross_entropy(x, ids({0}, {1})); }),
            "[cross_entropy] logits (2, 3) need targets of their shape without the last dimension, "
            "got (1,)");
  EXPECT_EQ(error_of([&] {
              ops::cross_entropy(x, make({0, 1}, {2}));
            }),
            "[cross_entropy] does not take float64");
  EXPECT_EQ(error_of([] { ops::cross_entropy(Variable(make({0}, {})), ids({0}, {})); }),
            "[cross_entropy] logits () need targets of their shape without the last dimension, "
            "got ()");
  const Variable masked(Tensor::zeros({2, 3, 2, 4}, DType::kFloat32), {},
                        SequenceMask(Tensor::full({2, 3}, 1, DType::kBool)));
  EXPECT_EQ(error_of([&] {
              ops::cross_entropy(masked, Tensor::zeros({2, 3, 2}, DType::kInt64));
            }),
            "[cross_entropy] a mask of (2, 3) does not say which of the targets (2, 3, 2) count");
}

TEST(Accuracy, CountsTheTargetsThatHaveTheLargestLogit) {
  const Tensor logits = make({1, 5, 2, 7, 7, 0, kNaN, 1, 2, 0, 0, 9}, {2, 2, 3});
  const auto all = ops::accuracy(Variable(logits), ids({1, 0, 1, 0}, {2, 2}));
  EXPECT_EQ(all.hits.item(), 2);  // the first of two equal ones; not a number is no hit
  EXPECT_EQ(all.count, 4);
  const SequenceMask mask(test::bits({1, 0, 0, 1}, {2, 2}));
  const auto kept = ops::accuracy(Variable(logits, {}, mask), ids({1, -9, 99, 2}, {2, 2}));
  EXPECT_EQ(kept.hits.item(), 2);
  EXPECT_EQ(kept.count, 2);
  EXPECT_EQ(ops::accuracy(Variable(Tensor::empty({0, 3}, DType::kFloat32)), ids({}, {0})).count, 0);
}

// Rows of any length with equal ones and, now and then, a NaN.
TEST(Accuracy, CountsOnlyTheFirstOfEqualsAndNothingBesideANaN) {
  Random random(12);
  for (const std::int64_t classes : {1, 2, 15, 16, 17, 40}) {
    for (const DType dtype : test::kFloatingDTypes) {
      std::vector<double> x(static_cast<std::size_t>(30 * classes));
      for (double& value : x) value = random.below(60) == 0 ? kNaN : random.below(4);
      for (std::int64_t target = 0; target < classes; ++target) {
        std::int64_t expected = 0;
        for (std::int64_t row = 0; row < 30; ++row) {
          const double *first = x.data() + row * classes, *end = first + classes;
          const bool has_nan = std::any_of(first, end, [](double v) { return std::isnan(v); });
          expected += !has_nan && std::max_element(first, end) == first + target;
        }
        const std::vector<double> targets(30, static_cast<double>(target));
        const auto result =
            ops::accuracy(Variable(make(x, {30, classes}, dtype)), ids(targets, {30}));
        EXPECT_EQ(result.hits.item(), expected) << classes << ", " << target;
      }
    }
  }
}

TEST(SequenceAccuracy, CountsTheSequencesThatAreHitsThroughout) {
  // Rows whose largest logit is that of 1, 1, 0; 2, 0, 0; 1, 1, 1; 0, 0, 0.
  const Tensor logits = make({0, 1, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 1, 0, 0,
                              0, 1, 0, 0, 1, 0, 0, 1, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0},
                             {4, 3, 3});
  const Tensor targets = ids({1, 1, 0, 2, 1, 0, 1, 1, 1, 0, 0, 2}, {4, 3});
  const auto all = ops::sequence_accuracy(Variable(logits), targets);
  EXPECT_EQ(all.hits.item(), 2);
  EXPECT_EQ(all.count, 4);
  // Without the two misses, and the third sequence without any target.
  const SequenceMask mask(test::bits({1, 1, 1, 1, 0, 1, 0, 0, 0, 1, 0, 0}, {4, 3}));
  const auto kept = ops::sequence_accuracy(Variable(logits, {}, mask), targets);
  EXPECT_EQ(kept.hits.item(), 3);
  EXPECT_EQ(kept.count, 3);
  const Variable none(Tensor::empty({2, 0, 3}, DType::kFloat32));
  EXPECT_EQ(ops::sequence_accuracy(none, ids({}, {2, 0})).count, 0);
  EXPECT_EQ(error_of([&] {
              ops::sequence_accuracy(Variable(Tensor::zeros({3}, DType::kFloat32)), ids({1}, {}));
            }),
            "[sequence_accuracy] targets must be those of sequences, not one number");
}

TEST(Accuracy, RefusesTargetsThatDoNotFit) {
  const Variable x(Tensor::zeros({2, 3}, DType::kFloat32));
  EXPECT_EQ(error_of([&] {
              ops::accuracy(x, ids({0, 3}, {2}));
            }),
            "[accuracy] target 3 at element 1" + kOutside);
  EXPECT_EQ(error_of([&] {
              ops::accuracy(x, ids({-100, 3}, {2}));
            }),
            "[accuracy] target -100 at element 0" + kOutside);
  EXPECT_EQ(error_of([&] { ops::accuracy(x, ids({0}, {1})); }),
            "[accuracy] logits (2, 3) need targets of their shape without the last dimension, got "
            "(1,)");
}

}  // namespace
}  // namespace maskgrad
