#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/layers/generate/sample.hpp>
#include <maskgrad/tensor/random.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::kInf;
using test::kNaN;
using test::make;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::Pointwise;

// Logits of these probabilities, up to a constant.
Tensor logits_of(const std::vector<double>& probabilities, DType dtype = DType::kFloat64) {
  std::vector<double> logits;
  for (const double p : probabilities) logits.push_back(std::log(p) + 3);
  return make(logits, {static_cast<std::int64_t>(logits.size())}, dtype);
}

void expect_probabilities(const SampleOptions& options, const std::vector<double>& expected) {
  const Tensor logits = logits_of({0.1, 0.4, 0.2, 0.25, 0.05});
  EXPECT_THAT(probabilities(logits, options), Pointwise(DoubleNear(1e-15), expected));
}

TEST(Sample, HasTheProbabilitiesOfSoftmaxAtATemperature) {
  expect_probabilities({}, {0.1, 0.4, 0.2, 0.25, 0.05});
  double sum = 0;
  std::vector<double> expected;
  for (const double p : {0.1, 0.4, 0.2, 0.25, 0.05}) sum += std::pow(p, 1 / 0.7);
  for (const double p : {0.1, 0.4, 0.2, 0.25, 0.05}) {
    expected.push_back(std::pow(p, 1 / 0.7) / sum);
  }
  expect_probabilities({.temperature = 0.7}, expected);
  expect_probabilities({.temperature = 0}, {0, 1, 0, 0, 0});
}

TEST(Sample, LeavesOutWhatAFilterLeavesOut) {
  expect_probabilities({.top_k = 2}, {0, 0.4 / 0.65, 0, 0.25 / 0.65, 0});
  expect_probabilities({.top_k = 9}, {0.1, 0.4, 0.2, 0.25, 0.05});
  expect_probabilities({.top_p = 0.6}, {0, 0.4 / 0.65, 0, 0.25 / 0.65, 0});
  expect_probabilities({.top_p = 0.66}, {0, 0.4 / 0.85, 0.2 / 0.85, 0.25 / 0.85, 0});
  expect_probabilities({.top_p = 1e-9}, {0, 1, 0, 0, 0});
  expect_probabilities({.min_p = 0.45}, {0, 0.4 / 0.85, 0.2 / 0.85, 0.25 / 0.85, 0});
  expect_probabilities({.min_p = 1}, {0, 1, 0, 0, 0});
  // 0.65 is left by top_k, of which 0.4 is more than half.
  expect_probabilities({.top_k = 2, .top_p = 0.6}, {0, 1, 0, 0, 0});
}

TEST(Sample, PutsTheFirstOfEqualTokensFirst) {
  const Tensor logits = make({1, 2, 2, 2}, {4});
  EXPECT_THAT(probabilities(logits, {.temperature = 0}), ElementsAre(0, 1, 0, 0));
  EXPECT_THAT(probabilities(logits, {.top_k = 2}), ElementsAre(0, 0.5, 0.5, 0));
}

TEST(Sample, NeverTakesATokenOfMinusInfinity) {
  const Tensor logits = make({-kInf, 0, -kInf, 0}, {4});
  EXPECT_THAT(probabilities(logits, {}), ElementsAre(0, 0.5, 0, 0.5));
  EXPECT_EQ(sample_token(logits, {}, 0), 1);
  EXPECT_EQ(sample_token(logits, {}, 0.5), 3);
  EXPECT_EQ(sample_token(logits, {}, 1 - 0x1p-53), 3);
}

TEST(Sample, KeepsHugeLogitsAndTinyTemperaturesFinite) {
  EXPECT_THAT(probabilities(make({1e300, -1e300}, {2}), {.temperature = 1e-300}),
              ElementsAre(1, 0));
  EXPECT_THAT(probabilities(make({3e38, 3e38}, {2}, DType::kFloat32), {}), ElementsAre(0.5, 0.5));
}

TEST(Sample, TellsTheLogarithmsOfProbabilitiesHoweverSmall) {
  EXPECT_THAT(log_probabilities(logits_of({0.1, 0.4, 0.5})),
              Pointwise(DoubleNear(1e-15), {std::log(0.1), std::log(0.4), std::log(0.5)}));
  EXPECT_THAT(log_probabilities(make({-kInf, 0, -2000, -kInf}, {4})),
              ElementsAre(-kInf, 0, -2000, -kInf));
  EXPECT_THAT(log_probabilities(make({3e38, 3e38}, {2}, DType::kFloat32)),
              ElementsAre(-std::log(2), -std::log(2)));
  EXPECT_EQ(error_of([] { log_probabilities(make({1, kNaN}, {2})); }), "[sample] a logit is nan");
}

TEST(Sample, TakesEachTokenAsOftenAsItsProbabilitySays) {
  const std::vector<double> p = {0.1, 0.4, 0.2, 0.25, 0.05};
  const Tensor logits = logits_of(p, DType::kFloat32);
  constexpr int kMany = 20000;
  std::vector<int> count(p.size());
  Random random(1);
  for (int i = 0; i < kMany; ++i) {
    ++count[static_cast<std::size_t>(sample_token(logits, {}, random.uniform()))];
  }
  // Within five standard deviations of a binomial count.
  for (std::size_t i = 0; i < p.size(); ++i) {
    EXPECT_NEAR(count[i], kMany * p[i], 5 * std::sqrt(kMany * p[i] * (1 - p[i])));
  }
}

TEST(Sample, RefusesLogitsAndOptionsThatAreNone) {
  const auto error = [](const Tensor& logits, const SampleOptions& options = {}) {
    return error_of([&] { probabilities(logits, options); });
  };
  EXPECT_EQ(error(Tensor()), "[sample] needs floating logits [V], V above 0");
  EXPECT_EQ(error(make({}, {0})), "[sample] needs floating logits [V], V above 0");
  EXPECT_EQ(error(make({1}, {1, 1})), "[sample] needs floating logits [V], V above 0");
  EXPECT_EQ(error(make({1, kNaN}, {2})), "[sample] a logit is nan");
  EXPECT_EQ(error(make({1, kInf}, {2})), "[sample] a logit is inf");
  EXPECT_EQ(error(make({-kInf, -kInf}, {2})), "[sample] all logits are -inf");
  const Tensor fine = make({1, 2}, {2});
  EXPECT_EQ(error(fine, {.temperature = kInf}),
            "[sample] temperature must be finite and at least 0, not inf");
  EXPECT_EQ(error(fine, {.top_k = -1}), "[sample] top_k must be at least 0, not -1");
  EXPECT_EQ(error(fine, {.top_p = 0}), "[sample] top_p must be above 0 and at most 1, not 0");
  EXPECT_EQ(error(fine, {.min_p = 1.5}), "[sample] min_p must be from 0 to 1, not 1.5");
  const auto flag = [](const std::string& name) { return "--" + name; };
  EXPECT_EQ(error_of([&] { check_options({.min_p = kNaN}, flag); }),
            "[sample] --min_p must be from 0 to 1, not nan");
}

}  // namespace
}  // namespace maskgrad
