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
