// cross_entropy() with label smoothing.
#include <cmath>
#include <limits>

#include <gmock/gmock.h>

#include <maskgrad/ops/nn/loss.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

#include "support/errors.hpp"
#include "support/gradient_check.hpp"
#include "support/tensors.hpp"
#include "support/threads.hpp"

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

std::vector<double> random_ids(Random& random, std::size_t count, std::uint32_t bound) {
  std::vector<double> all(count);
  for (double& id : all) id = random.below(bound);
  return all;
}

// The sum of the losses of rows of n logits, and its gradient, as the definition says.
struct Expected {
  double sum = 0;
  std::vector<double> gradient;
};
Expected by_definition(const std::vector<double>& x, const std::vector<double>& targets,
                       std::size_t n, double smoothing) {
  Expected result;
  for (std::size_t row = 0; row < targets.size(); ++row) {
    double sum = 0;
    for (std::size_t c = 0; c < n; ++c) sum += std::exp(x[row * n + c]);
    for (std::size_t c = 0; c < n; ++c) {
      const bool is_target = static_cast<double>(c) == targets[row];
      const double q = (is_target ? 1 - smoothing : 0) + smoothing / static_cast<double>(n);
      const double p = std::exp(x[row * n + c]) / sum;
      result.sum -= q * std::log(p);
      result.gradient.push_back(p - q);
    }
  }
  return result;
}

struct Result {
  ops::SumCount loss;
  Tensor gradient;
};
Result run(const Tensor& logits, const Tensor& targets, double smoothing,
           const SequenceMask& mask = {}) {
  const Variable x = leaf(logits, mask);
  Tape tape;
  const ops::SumCount loss = ops::cross_entropy(x, targets, smoothing);
  tape.backward(loss.sum);
  return {loss, x.grad()};
}

constexpr double kSmoothings[] = {0, 1e-3, 0.1, 0.5, 1};

TEST(LabelSmoothing, ComparesWithTheSmoothedTargets) {
  Random random(1);
  const Tensor logits = test::uniform(random, {4, 3, 21}, -4, 4);
  const std::vector<double> targets = random_ids(random, 12, 21);
  for (const DType dtype : test::kFloatingDTypes) {
    for (const double smoothing : kSmoothings) {
      const Tensor x = logits.to(dtype);
      const Expected expected = by_definition(to_doubles(x), targets, 21, smoothing);
      for (const DType of_targets : {DType::kInt32, DType::kInt64}) {
        const Result result = run(x, ids(targets, {4, 3}, of_targets), smoothing);
        EXPECT_TRUE(is_close(result.loss.sum.value(), {expected.sum})) << smoothing;
        EXPECT_TRUE(is_close(result.gradient, expected.gradient)) << smoothing;
        EXPECT_EQ(result.loss.count, 12);
        EXPECT_EQ(result.loss.sum.dtype(), dtype);
      }
    }
  }
}

TEST(LabelSmoothing, HasTheGradientThatDifferencesGive) {
  Random random(2);
  const Variable logits = leaf(test::uniform(random, {2, 3, 5}));
  const Tensor targets = ids(random_ids(random, 6, 5), {2, 3});
  for (const double smoothing : kSmoothings) {
    EXPECT_TRUE(
        test::gradients_agree([&] { return ops::cross_entropy(logits, targets, smoothing).mean(); },
                              {{"logits", logits}}))
        << smoothing;
  }
}

TEST(LabelSmoothing, OfZeroIsNone) {
  Random random(3);
  for (const DType dtype : test::kFloatingDTypes) {
    const Variable x = leaf(test::uniform(random, {3, 17}).to(dtype));
    const Tensor targets = ids({0, 16, 4}, {3});
    Tape tape;
    const auto plain = ops::cross_entropy(x, targets);
    tape.backward(plain.sum);
    for (const double zero : {0.0, -0.0}) {
      const Result result = run(x.value(), targets, zero);
      EXPECT_TRUE(test::same_bits(result.loss.sum.value(), plain.sum.value()));
      EXPECT_TRUE(test::same_bits(result.gradient, x.grad()));
    }
  }
}

TEST(LabelSmoothing, HasNoGradientWhereTheSoftmaxIsTheSmoothedTarget) {
  const double share = 0.2 / 4;
  const std::vector<double> q = {share, share, 0.8 + share, share};
  std::vector<double> logits;
  double entropy = 0;
  for (const double p : q) {
    logits.push_back(std::log(p) + 3);  // a constant changes nothing
    entropy -= p * std::log(p);
  }
  const Result result = run(make(logits, {1, 4}), ids({2}, {1}), 0.2);
  EXPECT_TRUE(is_close(result.gradient, {0, 0, 0, 0}, 1e-15));
  EXPECT_TRUE(is_close(result.loss.sum.value(), {entropy}));
}

TEST(LabelSmoothing, NeverReadsPositionsThatDoNotCount) {
  const SequenceMask mask(test::bits({1, 0, 0, 1}, {2, 2}));
  Random random(4);
  const Tensor x = test::uniform(random, {2, 2, 3});
  for (const DType dtype : test::kFloatingDTypes) {
    const auto with = [&](double poison, double hidden_target) {
      Tensor value = x.to(dtype).clone();
      fill_holes(value, mask, poison);
      return run(value, ids({2, hidden_target, hidden_target, 0}, {2, 2}), 0.3, mask);
    };
    const Result clean = with(0, 0);
    EXPECT_EQ(clean.loss.count, 2);
    EXPECT_TRUE(test::same_bits(clean.gradient.view(3, {6}), Tensor::zeros({6}, dtype)));
    for (const double poison : {1e30, kInf, -kInf, kNaN}) {
      const Result poisoned = with(poison, -100);
      EXPECT_TRUE(test::same_bits(poisoned.loss.sum.value(), clean.loss.sum.value())) << poison;
      EXPECT_TRUE(test::same_bits(poisoned.gradient, clean.gradient)) << poison;
    }
  }
}

TEST(LabelSmoothing, OfNothingIsZeroOfZeroWithZeroGradient) {
  const SequenceMask nothing(test::bits({0, 0}, {1, 2}));
  const auto expect_zero = [](const Result& result) {
    EXPECT_EQ(result.loss.sum.item(), 0);
    EXPECT_EQ(result.loss.count, 0);
    EXPECT_EQ(result.loss.mean().item(), 0);
    EXPECT_THAT(to_doubles(result.gradient), Each(0));
  };
  expect_zero(run(make({kNaN, 1, 2, kInf, 4, 5}, {1, 2, 3}), ids({9, 9}, {1, 2}), 0.1, nothing));
  expect_zero(run(Tensor::empty({0, 5}, DType::kFloat32), ids({}, {0}), 0.1));
  expect_zero(run(Tensor::empty({0, 0}, DType::kFloat64), ids({}, {0}), 1));
}

TEST(LabelSmoothing, OfOneClassIsZeroWithZeroGradient) {
  for (const double smoothing : kSmoothings) {
    const Result result = run(make({7, -3}, {2, 1}, DType::kFloat32), ids({0, 0}, {2}), smoothing);
    EXPECT_EQ(result.loss.sum.item(), 0) << smoothing;
    EXPECT_THAT(to_doubles(result.gradient), Each(0)) << smoothing;
  }
}

TEST(LabelSmoothing, IsStableForLargeLogits) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Result result = run(make({1e4, 1e4, -1e4, -1e4}, {1, 4}, dtype), ids({2}, {1}), 0.5);
    // log 2 + q_2 2e4 + q_3 2e4 with q = (1/8, 1/8, 5/8, 1/8)
    EXPECT_TRUE(is_close(result.loss.sum.value(), {std::log(2) + 1.5e4}));
    EXPECT_TRUE(is_close(result.gradient, {0.375, 0.375, -0.625, -0.125}));
  }
  // The sum over the classes overflows, and the mean does not.
  const Tensor huge = make({1.7e308, 0, 0, 0}, {1, 4});
  EXPECT_TRUE(is_close(run(huge, ids({0}, {1}), 1).loss.sum.value(), {0.75 * 1.7e308}));
}

// Classes that are impossible: they have a share of the targets, so that the loss is infinite.
TEST(LabelSmoothing, MakesALogitOfMinusInfinityAnInfiniteLossWithAFiniteGradient) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Tensor logits = make({0, -kInf, 0}, {1, 3}, dtype);
    for (const double smoothing : {0.3, 1.0}) {
      for (const double target : {0.0, 1.0}) {
        const Result result = run(logits, ids({target}, {1}), smoothing);
        EXPECT_EQ(result.loss.sum.item(), kInf) << smoothing << " at " << target;
        const double share = smoothing / 3, of_target = 1 - smoothing + share;
        const double first = target == 0 ? of_target : share;
        const double second = target == 1 ? of_target : share;
        EXPECT_TRUE(is_close(result.gradient, {0.5 - first, -second, 0.5 - share}));
      }
    }
    EXPECT_TRUE(is_close(run(logits, ids({0}, {1}), 0).loss.sum.value(), {std::log(2)}));
    const Result unknown = run(make({0, kNaN, 0}, {1, 3}, dtype), ids({0}, {1}), 0.3);
    EXPECT_TRUE(std::isnan(unknown.loss.sum.item()));
  }
}

TEST(LabelSmoothing, AddsUpLongRowsWithoutLosingSmallTerms) {
  constexpr std::int64_t kClasses = 300007;
  Tensor logits = Tensor::full({1, kClasses}, -0.1, DType::kFloat32);
  logits.data<float>()[5] = 0;
  const double step = static_cast<double>(0.1F), others = kClasses - 1;
  const double expected = std::log(1 + others * std::exp(-step)) + others / kClasses * step;
  EXPECT_NEAR(run(logits, ids({5}, {1}), 1).loss.sum.item(), expected, 2e-6 * expected);
}

TEST(LabelSmoothing, DoesNotDependOnOtherRowsOrThreads) {
  Random random(5);
  for (const DType dtype : test::kFloatingDTypes) {
    const Tensor logits = test::uniform(random, {300, 37}, -9, 9).to(dtype);
    const std::vector<double> targets = random_ids(random, 300, 37);
    const Result one = run(logits, ids(targets, {300}), 0.1);
    {
      const test::WithThreads three(3);
      const Result many = run(logits, ids(targets, {300}), 0.1);
      EXPECT_TRUE(test::same_bits(many.loss.sum.value(), one.loss.sum.value()));
      EXPECT_TRUE(test::same_bits(many.gradient, one.gradient));
    }
    for (const std::int64_t row : {0, 151, 299}) {
      const Tensor target = ids({targets[static_cast<std::size_t>(row)]}, {1});
      const Result alone = run(logits.view(row * 37, {1, 37}), target, 0.1);
      EXPECT_TRUE(test::same_bits(alone.gradient, one.gradient.view(row * 37, {1, 37})));
    }
  }
}

TEST(LabelSmoothing, RefusesWhatIsNoShare) {
  const Variable x(Tensor::zeros({2, 3}, DType::kFloat32));
  const auto error = [&](double smoothing) {
    return error_of([&] { ops::cross_entropy(x, ids({0, 1}, {2}), smoothing); });
  };
  const std::string start = "[cross_entropy] label_smoothing must be from 0 to 1, got ";
  EXPECT_EQ(error(-0.1), start + "-0.1");
  EXPECT_EQ(error(1.5), start + "1.5");
  EXPECT_EQ(error(kNaN), start + "nan");
}

}  // namespace
}  // namespace maskgrad
