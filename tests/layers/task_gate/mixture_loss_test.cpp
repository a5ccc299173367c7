#include <cmath>
#include <tuple>

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
using test::kInf;
using test::kNaN;
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
  EXPECT_NEAR(loss(1e-3), mean, 1e-3);
  const double single = to_doubles(mixture_loss(Variable(shares.value().to(DType::kFloat32)),
                                                Variable(log_p.value().to(DType::kFloat32)), 1e-3)
                                       .value())[0];
  EXPECT_NEAR(single, mean, 2e-3) << "what float32 rounds is divided by the power";
}

TEST(MixtureLoss, IsInfiniteWhereEachExpertRulesTheAnswerOut) {
  for (const DType dtype : test::kFloatingDTypes) {
    for (const double power : {1e-3, 0.5, 1.0}) {
      const Variable shares(make({0.5, 0.5, /**/ 0.25, 0.75}, {2, 2}).to(dtype)),
          log_p(make({-kInf, -kInf, /**/ -kInf, -2}, {2, 2}).to(dtype));
      const std::vector<double> loss = to_doubles(mixture_loss(shares, log_p, power).value());
      EXPECT_EQ(loss[0], kInf);
      EXPECT_NEAR(loss[1], 2 - std::log(0.75) / power, 1e-3);
    }
  }
}

// Where an expert that rules the answer out has a share, it sends no gradient but that of its
// share.
TEST(MixtureLoss, HasFiniteGradientsWhereOneExpertRulesTheAnswerOut) {
  const Variable shares = test::leaf(make({0.25, 0.75}, {1, 2})),
                 log_p = test::leaf(make({-kInf, -2}, {1, 2}));
  Tape tape;
  tape.backward(ops::sum(mixture_loss(shares, log_p, 0.5)));
  EXPECT_TRUE(is_close(log_p.grad(), {0, -1}, 1e-12));
  EXPECT_TRUE(is_close(shares.grad(), {0, -1 / (0.75 * 0.5)}, 1e-12));
}

TEST(MixtureLoss, IsNoNumberWhereOneIsNone) {
  for (const double power : {1e-3, 1.0}) {
    for (const auto& g : std::vector<std::vector<double>>{{kNaN, 0.5}, {0.5, kNaN}, {0, kNaN}}) {
      const Tensor loss =
          mixture_loss(Variable(make(g, {1, 2})), Variable(make({-1, -2}, {1, 2})), power).value();
      EXPECT_TRUE(std::isnan(to_doubles(loss)[0]));
    }
    for (const auto& p : std::vector<std::vector<double>>{{kNaN, -1}, {-1, kNaN}, {-kInf, kNaN}}) {
      const Tensor loss =
          mixture_loss(Variable(make({0, 1}, {1, 2})), Variable(make(p, {1, 2})), power).value();
      EXPECT_TRUE(std::isnan(to_doubles(loss)[0]));
    }
  }
}

// As if it were not in the batch, whatever stands there.
TEST(MixtureLoss, DoesNotCountASampleWithoutAChoice) {
  for (const double power : {0.1, 1.0}) {
    const auto sum_and_gradients = [&](const Tensor& g, const Tensor& p) {
      const Variable shares = test::leaf(g), log_p = test::leaf(p);
      Tape tape;
      const Variable loss = ops::sum(mixture_loss(shares, log_p, power));
      tape.backward(loss);
      return std::tuple(loss.item(), to_doubles(shares.grad()), to_doubles(log_p.grad()));
    };
    const auto [sum, of_shares, of_log_p] =
        sum_and_gradients(make({0.2, 0.8}, {1, 2}), make({-1, -2}, {1, 2}));
    const auto [all, of_all_shares, of_all_log_p] =
        sum_and_gradients(make({0, 0, /**/ 0.2, 0.8, /**/ 0, 0}, {3, 2}),
                          make({kNaN, -kInf, /**/ -1, -2, /**/ -5, -5}, {3, 2}));
    EXPECT_EQ(all, sum);
    EXPECT_EQ(of_all_shares, (std::vector<double>{0, 0, of_shares[0], of_shares[1], 0, 0}));
    EXPECT_EQ(of_all_log_p, (std::vector<double>{0, 0, of_log_p[0], of_log_p[1], 0, 0}));
  }
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
  for (const double power : {0.0, -1.0, 1e-310, 1e-8, 9e-4, 1.001, kInf, kNaN}) {
    EXPECT_EQ(error_of([&] { mixture_loss(two, two, power); }),
              fmt::format("[mixture_loss] needs a power from 0.001 to 1, got {}", power));
  }
  EXPECT_EQ(error_of([&] { log_likelihood(two, targets()); }),
            "[log_likelihood] needs logits [B, T, V] and targets [B, T], got (1, 2) and (2, 2)");
}

}  // namespace
}  // namespace maskgrad
