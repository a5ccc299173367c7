#include <gmock/gmock.h>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/layers/gates/gated_feed_forward.hpp>

#include "layers/gates/gate_support.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::Matrix;
using test::to_doubles;
using ::testing::Each;
using ::testing::ElementsAre;

constexpr std::int64_t kFeatures = LayerSample::kFeatures, kHidden = 4;
using Options = GatedFeedForwardOptions;

// With several gates, functions and shortcuts.
std::vector<Options> some_options() {
  Options elu = {.activation = Activation::kElu, .gates = {true, false, true}};
  elu.gate.each_feature = true;
  Options relu = {.activation = Activation::kRelu, .shortcut = Shortcut::kSkip};
  relu.gates = {true, true};
  return {Options(), elu, relu, {.shortcut = Shortcut::kResidual}, {.gates = {false}}};
}
test::MakeLayer maker(const Options& options, std::int64_t hidden = kFeatures) {
  return [=] { return std::make_unique<GatedFeedForward>(kFeatures, hidden, options); };
}
const bool kRegistered =
    register_layer({"GatedFeedForward", maker({}, kHidden)}) &&
    register_layer({"GatedFeedForwardOfElu", maker(some_options()[1], kHidden)}) &&
    // Not relu: with biases of 0 a unit may stand at its kink, where there are no differences.
    register_layer({"GatedFeedForwardSkips",
                    maker({.gates = {true, true}, .shortcut = Shortcut::kSkip}, kHidden)}) &&
    register_layer({"GatedFeedForwardResidual", maker(some_options()[3])});

double activated(Activation activation, double x) {
  if (activation == Activation::kTanh) return std::tanh(x);
  if (activation == Activation::kRelu) return std::max(x, 0.0);
  return x > 0 ? x : std::exp(x) - 1;
}

Matrix through(const Matrix& x, const ParameterBuffer& parameters, const std::string& weight,
               const std::string& bias) {
  return test::shifted(test::product(x, test::weights(parameters, weight)),
                       test::weights(parameters, bias)[0]);
}

Matrix sum(Matrix a, const Matrix& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = test::shifted({a[i]}, b[i])[0];
  return a;
}

Matrix naive(const Matrix& x, const ParameterBuffer& parameters, const Options& options) {
  Matrix y = x;
  for (std::size_t layer = 0; layer < options.gates.size(); ++layer) {
    const std::string number = std::to_string(layer + 1);
    Matrix h = through(y, parameters, "w" + number, "b" + number);
    for (auto& row : h) {
      for (double& value : row) value = activated(options.activation, value);
    }
    if (options.gates[layer]) {
      const Matrix gate = through(h, parameters, "gate" + number + ".w", "gate" + number + ".b");
      for (std::size_t i = 0; i < h.size(); ++i) {
        for (std::size_t j = 0; j < h[i].size(); ++j) {
          h[i][j] *= test::logistic(gate[i][options.gate.each_feature ? j : 0]);
        }
      }
    }
    const bool skips = options.shortcut == Shortcut::kSkip && y[0].size() == h[0].size();
    y = skips ? sum(h, y) : h;
  }
  return options.shortcut == Shortcut::kResidual ? sum(y, x) : y;
}

TEST(GatedFeedForward, IsLayersWithGatesBetweenThemAndWaysAround) {
  Random random(1);
  for (const DType dtype : test::kFloatingDTypes) {
    for (const Options& options : some_options()) {
      for (const std::int64_t hidden : {kFeatures, kHidden}) {
        if (options.shortcut == Shortcut::kResidual && hidden != kFeatures) continue;
        const auto layer = maker(options, hidden)();
        ParameterBuffer parameters(*layer, dtype, 1);
        test::redraw(parameters, random);
        const Tensor x = test::uniform(random, {2, 3, kFeatures}).to(dtype);
        const Variable y = (*layer)(Variable(x));
        EXPECT_EQ(y.shape(), Shape({2, 3, hidden}));
        EXPECT_TRUE(test::is_close(y.value(), test::flat(naive(test::rows(x), parameters, options)),
                                   8 * test::tolerance(dtype)));
      }
    }
  }
}

TEST(GatedFeedForward, HasAWeightForEachLayerAndGateThatStartsAsItsHeaderSays) {
  GatedFeedForward layer(kFeatures, kHidden);
  const ParameterBuffer parameters(layer, DType::kFloat64, 1);
  std::vector<std::string> names;
  for (const auto& [name, value] : parameters.named_values()) {
    names.push_back(name + " " + to_string(value.shape()));
    const bool is_bias = name.back() == 'b' || name.front() == 'b';
    for (const double element : to_doubles(value)) EXPECT_EQ(element == 0, is_bias) << name;
    if (is_bias) continue;
    const double a = std::sqrt(6.0 / static_cast<double>(value.dim(0) + value.dim(1)));
    EXPECT_THAT(to_doubles(value), Each(::testing::AllOf(::testing::Ge(-a), ::testing::Lt(a))));
  }
  EXPECT_THAT(names, ElementsAre("b1 (4,)", "b2 (4,)", "gate2.b (1,)", "gate2.w (4, 1)",
                                 "w1 (5, 4)", "w2 (4, 4)"));
}

TEST(GatedFeedForward, IsSoundStackedAtExtremesAndWithoutPositions) {
  for (const Options& options : some_options()) test::expect_sound(maker(options), kFeatures);
}

TEST(GatedFeedForward, RefusesWhatDoesNotFit) {
  const auto made = [](std::int64_t features, std::int64_t hidden, const Options& options = {}) {
    return error_of([&] { GatedFeedForward(features, hidden, options); });
  };
  EXPECT_EQ(made(0, 4), "[GatedFeedForward] needs features and hidden above 0, got 0 and 4");
  EXPECT_EQ(made(4, 0), "[GatedFeedForward] needs features and hidden above 0, got 4 and 0");
  EXPECT_EQ(made(4, 4, {.gates = {}}), "[GatedFeedForward] needs a layer");
  EXPECT_EQ(made(4, 3, {.shortcut = Shortcut::kResidual}),
            "[GatedFeedForward] adds 4 features to 3; a residual needs as many hidden ones");
  EXPECT_EQ(made(4, 3, {.gate = {.activation = Activation::kElu}}),
            "[Gate] needs sigmoid or tanh, got elu");
}

}  // namespace
}  // namespace maskgrad
