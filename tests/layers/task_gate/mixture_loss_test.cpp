#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/layers/task_gate/mixture_loss.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/ops/nn/softmax.hpp>
#include <maskgrad/ops/shape/concat.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/errors.hpp"
#include "support/gradient_check.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::is_close;
using test::make;
using test::to_doubles;

const std::vector<std::int64_t> kTargets = {2, 0, /**/ 1, 1};
Tensor targets() { return Tensor::from(std::span<const std::int64_t>(kTargets), {2, 2}); }

TEST(LogLikelihood, IsTheProductOfTheTokensProbabilities) {
  Random random(1);
  const Tensor logits = test::uniform(random, {2, 2, 3});
  const std::vector<double> z = to_doubles(logits);
  std::vector<double> expected;
  for (std::size_t b = 0; b < 2; ++b) {
    double p = 1;
    for (std::size_t t = 0; t < 2; ++t) {
      double sum = 0;
      for (std::size_t v = 0; v < 3; ++v) sum += std::exp(z[(2 * b + t) * 3 + v]);
      const auto target = static_cast<std::size_t>(kTargets[2 * b + t]);
      p *= std::exp(z[(2 * b + t) * 3 + target]) / sum;
    }
    expected.push_back(std::log(p));
  }
  const Tensor found = log_likelihood(Variable(logits), targets()).value();
  EXPECT_EQ(found.shape(), (Shape{2, 1}));
  EXPECT_TRUE(is_close(found, expected, 1e-12));
}

// The sum over experts, written out.
TEST(MixtureLoss, IsWhatEnumerationGives) {
  const std::vector<double> g = {0.2, 0.5, 0.3, /**/ 0.0, 0.25, 0.75},
                            p = {0.1, 0.01, 0.6, /**/ 0.9, 0.5, 0.125};
  std::vector<double> log_p;
  for (const double probability : p) log_p.push_back(std::log(probability));
  for (const double power : {1.0, 0.3}) {
    std::vector<double> expected(2);
    for (std::size_t b = 0; b < 2; ++b) {
      double sum = 0;
      for (std::size_t c = 0; c < 3; ++c) sum += g[3 * b + c] * std::pow(p[3 * b + c], power);
      expected[b] = -std::log(sum) / power;
    }
    for (const DType dtype : test::kFloatingDTypes) {
      const Variable shares(make(g, {2, 3}).to(dtype)), likelihoods(make(log_p, {2, 3}).to(dtype));
      const Tensor loss = mixture_loss(shares, likelihoods, power).value();
      EXPECT_EQ(loss.shape(), (Shape{2}));
      EXPECT_TRUE(is_close(loss, expected, 8 * test::tolerance(dtype)));
    }
  }
}

// Where the power goes to 0 the experts do not compete: each loss counts by its share.
TEST(MixtureLoss, IsNeverAboveTheMeanOfTheLossesAndNearItForASmallPower) {
  const Variable shares(make({0.2, 0.5, 0.3}, {1, 3})), log_p(make({-1, -2, -4}, {1, 3}));
  const double mean = 0.2 * 1 + 0.5 * 2 + 0.3 * 4;
  const auto loss = [&](double power) {
    return to_doubles(mixture_loss(shares, log_p, power).value())[0];
  };
  EXPECT_LT(loss(1), loss(0.5));
  EXPECT_LT(loss(0.5), mean);
  EXPECT_NEAR(loss(1e-4), mean, 1e-3);
}

TEST(MixtureLoss, StaysFiniteWhereNoExpertKnowsTheAnswer) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Variable far(make({-900, -1000, -5000}, {1, 3}).to(dtype)),
        shares(make({0.5, 0.25, 0.25}, {1, 3}).to(dtype));
    EXPECT_TRUE(is_close(mixture_loss(shares, far).value(), {900 + std::log(2.0)}, 1e-3));
    const Variable one(make({0, 1, 0}, {1, 3}).to(dtype));
    EXPECT_TRUE(is_close(mixture_loss(one, far).value(), {900 + 30 * std::log(10.0)}, 1e-2))
        << "a share of 0 counts as 1e-30";
  }
}

TEST(MixtureLoss, TeachesEachExpertByItsShareInTheAnswer) {
  Random random(2);
  const Variable z = test::leaf(test::uniform(random, {4, 3})),
                 log_p = test::leaf(test::uniform(random, {4, 3}));
  Tape tape;
  const Variable g = ops::softmax(z);
  const Variable loss = ops::sum(mixture_loss(g, log_p));
  tape.backward(loss);
  const std::vector<double> shares = to_doubles(g.value()), l = to_doubles(log_p.value());
  std::vector<double> expected(12);
  for (std::size_t b = 0; b < 4; ++b) {
    double sum = 0;
    for (std::size_t c = 0; c < 3; ++c) sum += shares[3 * b + c] * std::exp(l[3 * b + c]);
    for (std::size_t c = 0; c < 3; ++c) {
      expected[3 * b + c] = -shares[3 * b + c] * std::exp(l[3 * b + c]) / sum;
    }
  }
  EXPECT_TRUE(is_close(log_p.grad(), expected, 1e-12));
}

TEST(MixtureLoss, SendsRightGradientsToLogitsAndShares) {
  Random random(3);
  const Variable z = test::leaf(test::uniform(random, {2, 2})),
                 a = test::leaf(test::uniform(random, {2, 2, 3})),
                 b = test::leaf(test::uniform(random, {2, 2, 3}));
  const auto loss = [&] {
    const Variable each =
        ops::concat({log_likelihood(a, targets()), log_likelihood(b, targets())}, 1);
    return ops::sum(mixture_loss(ops::softmax(z), each));
  };
  EXPECT_TRUE(test::gradients_agree(loss, {{"z", z}, {"a", a}, {"b", b}}));
}

TEST(MixtureLoss, RefusesShapesThatDoNotFit) {
  const Variable two(make({0.5, 0.5}, {1, 2})), three(make({1, 0, 0}, {1, 3}));
  EXPECT_EQ(error_of([&] { mixture_loss(two, three); }),
            "[mixture_loss] needs shares and likelihoods [B, C], got (1, 2) and (1, 3)");
  EXPECT_EQ(error_of([&] { mixture_loss(two, two, 0); }),
            "[mixture_loss] needs a power above 0 and at most 1, got 0");
  EXPECT_EQ(error_of([&] { log_likelihood(two, targets()); }),
            "[log_likelihood] needs logits [B, T, V] and targets [B, T], got (1, 2) and (2, 2)");
}

}  // namespace
}  // namespace maskgrad
