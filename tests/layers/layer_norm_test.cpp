#include <cmath>

#include <gtest/gtest.h>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/layers/layer_norm.hpp>

#include "layers/support.hpp"

namespace maskgrad {
namespace {

constexpr std::int64_t kFeatures = LayerSample::kFeatures;

const bool kRegistered =
    register_layer({"LayerNorm", [] { return std::make_unique<LayerNorm>(kFeatures); }});

TEST(LayerNorm, StartsAsTheNormalisationOfEachPosition) {
  LayerNorm norm(kFeatures, 1e-3);
  const ParameterBuffer parameters(norm, DType::kFloat64, 0);
  Random random(1);
  const Tensor x = test::uniform(random, {2, 3, kFeatures});
  std::vector<double> expected = test::to_doubles(x);
  for (std::size_t row = 0; row < expected.size(); row += kFeatures) {
    double mean = 0, square = 0;
    for (std::size_t i = row; i < row + kFeatures; ++i) mean += expected[i] / kFeatures;
    for (std::size_t i = row; i < row + kFeatures; ++i) {
      square += (expected[i] - mean) * (expected[i] - mean) / kFeatures;
    }
    for (std::size_t i = row; i < row + kFeatures; ++i) {
      expected[i] = (expected[i] - mean) / std::sqrt(square + 1e-3);
    }
  }
  EXPECT_TRUE(test::is_close(norm(Variable(x)).value(), expected));
}

}  // namespace
}  // namespace maskgrad
