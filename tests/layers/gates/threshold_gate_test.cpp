#include <algorithm>

#include <gmock/gmock.h>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/layers/gates/threshold_gate.hpp>

#include "layers/gates/gate_support.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::make;
using test::to_doubles;
using ::testing::Each;
using ::testing::ElementsAre;

constexpr std::int64_t kFeatures = LayerSample::kFeatures;

std::unique_ptr<Layer> threshold_gate() { return std::make_unique<ThresholdGate>(kFeatures); }
const bool kRegistered = register_layer({"ThresholdGate", threshold_gate});

TEST(ThresholdGate, PassesWhatIsAboveTheThresholdOfItsFeature) {
  Random random(1);
  for (const DType dtype : test::kFloatingDTypes) {
    test::Drawn<ThresholdGate> drawn(random, dtype, kFeatures);
    const Tensor x = test::uniform(random, {2, 3, kFeatures}).to(dtype);
    test::Matrix expected = test::rows(x);
    const std::vector<double> theta = test::weights(drawn.parameters, "theta")[0];
    for (auto& row : expected) {
      for (std::size_t j = 0; j < row.size(); ++j) row[j] = std::max(row[j] - theta[j], 0.0);
    }
    EXPECT_TRUE(test::is_close(drawn.layer(Variable(x)).value(), test::flat(expected)));
  }
}

TEST(ThresholdGate, LowersItsThresholdByTheGradientWhereItIsOpen) {
  ThresholdGate layer(3);
  ParameterBuffer parameters(layer, DType::kFloat64, 1);
  Tensor(parameters.named_values().at("theta")).copy_from(make({1, 2, 3}, {3}));
  // Open in both rows, in one, and in none: the last element is at the threshold.
  const Variable x = test::leaf(make({1.5, 1, 3, 2, 2.5, -1}, {2, 3}));
  const auto results = test::run_pass(layer, parameters, x, make({1, 10, 100, 2, 20, 200}, {2, 3}));
  EXPECT_THAT(to_doubles(results.output.value()), ElementsAre(0.5, 0, 0, 1, 0.5, 0));
  EXPECT_THAT(to_doubles(results.input_grad), ElementsAre(1, 0, 0, 2, 20, 0));
  EXPECT_THAT(to_doubles(parameters.named_pieces(results.gradients).at("theta")),
              ElementsAre(-3, -20, 0));
}

TEST(ThresholdGate, StartsAsRelu) {
  ThresholdGate layer(kFeatures);
  const ParameterBuffer parameters(layer, DType::kFloat64, 1);
  EXPECT_THAT(to_doubles(parameters.named_values().at("theta")), Each(0));
}

TEST(ThresholdGate, IsSoundStackedAtExtremesAndWithoutPositions) {
  test::expect_sound(threshold_gate, kFeatures);
}

TEST(ThresholdGate, TakesItsFeaturesAndNoOther) {
  EXPECT_EQ(error_of([] { ThresholdGate(0); }), "[ThresholdGate] needs features above 0, got 0");
}

}  // namespace
}  // namespace maskgrad
