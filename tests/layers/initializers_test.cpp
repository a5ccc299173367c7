#include <algorithm>
#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/layers/sequential.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::same_bits;
using test::to_doubles;

Tensor start(const Initializer& initializer, const Shape& shape) {
  Tensor values = Tensor::empty(shape, DType::kFloat64);
  Random random(3);
  initializer(values, random);
  return values;
}

// The weight of one Dense(inputs, 30) in a model that holds other layers too.
Tensor weight_of(const char* name, std::uint64_t seed, std::vector<const char*> others,
                 DType dtype = DType::kFloat64) {
  Sequential model;
  for (const char* other : others) model.add<Dense>(other, 7, 5);
  model.add<Dense>(name, 20, 30);
  const ParameterBuffer parameters(model, dtype, seed);
  return parameters.named_values().at(std::string(name) + ".weight").clone();
}

TEST(Initializers, FillWithAConstant) {
  EXPECT_EQ(to_doubles(start(zeros(), {2, 2})), std::vector<double>(4, 0.0));
  EXPECT_EQ(to_doubles(start(ones(), {3})), std::vector<double>(3, 1.0));
  EXPECT_EQ(to_doubles(start(constant(-0.25), {})), std::vector<double>{-0.25});
}

TEST(Uniform, StaysWithinItsLimitAndReachesNearlyThere) {
  const std::vector<double> values = to_doubles(start(uniform(0.25), {1000}));
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  EXPECT_GE(*low, -0.25);
  EXPECT_LT(*high, 0.25);
  EXPECT_LT(*low, -0.24);
  EXPECT_GT(*high, 0.24);
  EXPECT_EQ(error_of([] { uniform(0); }), "[uniform] needs a finite limit above 0, got 0");
  EXPECT_EQ(error_of([] { uniform(test::kInf); }),
            "[uniform] needs a finite limit above 0, got inf");
}

TEST(GlorotUniform, StaysWithinItsLimitAndReachesNearlyThere) {
  const std::vector<double> values = to_doubles(start(glorot_uniform(), {150, 20}));
  const double limit = std::sqrt(6.0 / 170.0);
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  EXPECT_GE(*low, -limit);
  EXPECT_LT(*high, limit);
  EXPECT_LT(*low, -0.99 * limit);
  EXPECT_GT(*high, 0.99 * limit);
}

TEST(GlorotUniform, HasMeanZeroAndTheVarianceTwoOverFanInPlusFanOut) {
  const std::vector<double> values = to_doubles(start(glorot_uniform(), {100, 300}));
  const auto n = static_cast<double>(values.size());
  const double variance = 2.0 / 400.0;
  EXPECT_NEAR(std::accumulate(values.begin(), values.end(), 0.0) / n, 0.0,
              4 * std::sqrt(variance / n));
  // The variance of a uniform draw's square is 4/5 of the squared variance.
  EXPECT_NEAR(std::inner_product(values.begin(), values.end(), values.begin(), 0.0) / n, variance,
              4 * variance * std::sqrt(0.8 / n));
}

TEST(GlorotUniform, RefusesWhatIsNoMatrix) {
  EXPECT_EQ(error_of([] { start(glorot_uniform(), {4}); }),
            "[glorot_uniform] needs a matrix [in, out], got (4,)");
  EXPECT_EQ(error_of([] {
              start(glorot_uniform(), {2, 3, 4});
            }),
            "[glorot_uniform] needs a matrix [in, out], got (2, 3, 4)");
}

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}
double deviation_of(const std::vector<double>& values) {
  const double mean = mean_of(values);
  double sum = 0;
  for (const double v : values) sum += (v - mean) * (v - mean);
  return std::sqrt(sum / static_cast<double>(values.size()));
}
// The share of values within `limit` of the mean.
double share_within(const std::vector<double>& values, double mean, double limit) {
  return static_cast<double>(std::count_if(values.begin(), values.end(),
                                           [&](double v) { return std::abs(v - mean) < limit; })) /
         static_cast<double>(values.size());
}

TEST(NormalStart, HasItsMeanItsDeviationAndTheSharesOfTheBell) {
  const std::vector<double> values = to_doubles(start(normal(3, 0.5), {100000}));
  EXPECT_NEAR(mean_of(values), 3, 5 * 0.5 / std::sqrt(1e5));
  EXPECT_NEAR(deviation_of(values), 0.5, 5 * 0.5 / std::sqrt(2e5));
  for (const double z : {0.5, 1.0, 2.0, 3.0}) {
    EXPECT_NEAR(share_within(values, 3, z * 0.5), std::erf(z / std::sqrt(2.0)), 0.006) << z;
  }
}

TEST(TruncatedNormal, EndsAtTwoDeviationsAndHasTheSharesOfTheBellWithin) {
  const std::vector<double> values = to_doubles(start(truncated_normal(-1, 0.2), {100000}));
  EXPECT_EQ(share_within(values, -1, 0.4 + 1e-12), 1);
  const double whole = std::erf(2 / std::sqrt(2.0));
  for (const double z : {0.5, 1.0, 1.9}) {
    EXPECT_NEAR(share_within(values, -1, z * 0.2), std::erf(z / std::sqrt(2.0)) / whole, 0.006);
  }
  EXPECT_NEAR(deviation_of(values), 0.8796 * 0.2, 0.002);
}

TEST(NormalStart, OfNoDeviationIsTheMeanAndOthersAreRefused) {
  EXPECT_EQ(to_doubles(start(normal(2, 0), {3})), std::vector<double>(3, 2.0));
  EXPECT_EQ(to_doubles(start(truncated_normal(2, 0), {3})), std::vector<double>(3, 2.0));
  EXPECT_EQ(error_of([] { return normal(0, -1); }),
            "[normal] needs a finite mean, and a finite stddev of at least 0, got 0 and -1");
  EXPECT_EQ(error_of([] { return truncated_normal(NAN, 1); }),
            "[truncated_normal] needs a finite mean, and a finite stddev of at least 0, got nan "
            "and 1");
}

TEST(HeInitializers, HaveTheVarianceTwoOverFanIn) {
  for (const auto& initializer : {he_normal(), he_uniform()}) {
    const std::vector<double> values = to_doubles(start(initializer, {200, 300}));
    const double stddev = std::sqrt(2.0 / 200);
    EXPECT_NEAR(mean_of(values), 0, 5 * stddev / std::sqrt(6e4));
    EXPECT_NEAR(deviation_of(values), stddev, 5 * stddev / std::sqrt(1.2e5));
  }
  const std::vector<double> values = to_doubles(start(he_uniform(), {200, 300}));
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  EXPECT_GE(*low, -std::sqrt(6.0 / 200));
  EXPECT_LT(*high, std::sqrt(6.0 / 200));
  EXPECT_GT(*high, 0.99 * std::sqrt(6.0 / 200));
}

TEST(ScaledStart, IsAnotherTimesAFactor) {
  std::vector<double> expected = to_doubles(start(he_normal(), {3, 4}));
  for (double& value : expected) value *= -0.25;
  EXPECT_EQ(to_doubles(start(scaled(he_normal(), -0.25), {3, 4})), expected);
  EXPECT_EQ(error_of([] { return scaled({}, 1); }), "[scaled] needs an initializer");
  EXPECT_EQ(error_of([] { return scaled(zeros(), NAN); }),
            "[scaled] the factor must be finite, got nan");
}

TEST(HeInitializers, RefuseWhatIsNoMatrix) {
  EXPECT_EQ(error_of([] { start(he_normal(), {4}); }),
            "[he_normal] needs a matrix [in, out], got (4,)");
  EXPECT_EQ(error_of([] { start(he_uniform(), {}); }),
            "[he_uniform] needs a matrix [in, out], got ()");
}

TEST(StartingValues, AreTheSameRoundedInEitherDtype) {
  const Tensor wide = weight_of("d", 1, {}, DType::kFloat64);
  const Tensor narrow = weight_of("d", 1, {}, DType::kFloat32);
  EXPECT_TRUE(same_bits(wide.to(DType::kFloat32), narrow));
}

TEST(StartingValues, DoNotDependOnTheOtherLayers) {
  EXPECT_TRUE(same_bits(weight_of("d", 1, {}), weight_of("d", 1, {"other", "more"})));
}

TEST(StartingValues, DependOnSeedAndName) {
  const Tensor one = weight_of("d", 1, {});
  EXPECT_TRUE(same_bits(one, weight_of("d", 1, {})));
  EXPECT_FALSE(is_identical(one, weight_of("d", 2, {})));
  EXPECT_FALSE(is_identical(one, weight_of("e", 1, {})));
}

}  // namespace
}  // namespace maskgrad
