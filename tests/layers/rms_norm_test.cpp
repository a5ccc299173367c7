#include <cmath>

#include <gtest/gtest.h>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/layers/rms_norm.hpp>

#include "layers/support.hpp"

namespace maskgrad {
namespace {

constexpr std::int64_t kFeatures = LayerSample::kFeatures;

const bool kRegistered =
    register_layer({"RMSNorm", [] { return std::make_unique<RMSNorm>(kFeatures); }});

TEST(RMSNorm, StartsAsTheNormalisationOfEachPosition) {
  RMSNorm norm(kFeatures, 1e-3);
  const ParameterBuffer parameters(norm, DType::kFloat64, 0);
  Random random(1);
  const Tensor x = test::uniform(random, {2, 3, kFeatures});
  std::vector<double> expected = test::to_doubles(x);
  for (std::size_t row = 0; row < expected.size(); row += kFeatures) {
    double square = 0;
    for (std::size_t i = row; i < row + kFeatures; ++i) {
      square += expected[i] * expected[i] / kFeatures;
    }
    for (std::size_t i = row; i < row + kFeatures; ++i) expected[i] /= std::sqrt(square + 1e-3);
  }
  EXPECT_TRUE(test::is_close(norm(Variable(x)).value(), expected));
}

TEST(RMSNorm, HasAWeightForEachFeatureThatStartsAtOne) {
  RMSNorm norm(3);
  const ParameterBuffer parameters(norm, DType::kFloat32, 0);
  ASSERT_EQ(norm.parameters().size(), 1U);
  EXPECT_EQ(norm.parameters()[0].name, "weight");
  EXPECT_TRUE(test::same_bits(norm.parameters()[0].parameter->variable().value(),
                              Tensor::full({3}, 1, DType::kFloat32)));
}

}  // namespace
}  // namespace maskgrad
