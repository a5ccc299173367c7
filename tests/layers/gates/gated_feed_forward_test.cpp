#include <gmock/gmock.h>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/layers/gates/gated_feed_forward.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>

#include "layers/gates/gate_support.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::Matrix;
using test::to_doubles;
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

Matrix naive(const Matrix& x, const ParameterBuffer& parameters, const Options& options) {
  Matrix y = x;
  for (std::size_t layer = 0; layer < options.gates.size(); ++layer) {
    const std::string number = std::to_string(layer + 1);
    Matrix h = test::activated(options.activation,
                               test::affine(y, parameters, "w" + number, "b" + number));
    if (options.gates[layer]) {
      const std::string gate = "gate" + number;
      h = test::times(h, test::activated(options.gate.activation,
                                         test::affine(h, parameters, gate + ".w", gate + ".b")));
    }
    const bool skips = options.shortcut == Shortcut::kSkip && y[0].size() == h[0].size();
    y = skips ? test::sum(h, y) : h;
  }
  return options.shortcut == Shortcut::kResidual ? test::sum(y, x) : y;
}

TEST(GatedFeedForward, IsLayersWithGatesBetweenThemAndWaysAround) {
  Random random(1);
  for (const DType dtype : test::kFloatingDTypes) {
    for (const Options& options : some_options()) {
      for (const std::int64_t hidden : {kFeatures, kHidden}) {
        if (options.shortcut == Shortcut::kResidual && hidden != kFeatures) continue;
        test::Drawn<GatedFeedForward> drawn(random, dtype, kFeatures, hidden, options);
        const Tensor x = test::uniform(random, {2, 3, kFeatures}).to(dtype);
        const Variable y = drawn.layer(Variable(x));
        EXPECT_EQ(y.shape(), Shape({2, 3, hidden}));
        const Matrix expected = naive(test::rows(x), drawn.parameters, options);
        EXPECT_TRUE(test::is_close(y.value(), test::flat(expected), 8 * test::tolerance(dtype)));
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
    test::expect_glorot(value);
  }
  EXPECT_THAT(names, ElementsAre("b1 (4,)", "b2 (4,)", "gate2.b (1,)", "gate2.w (4, 1)",
                                 "w1 (5, 4)", "w2 (4, 4)"));
}

// Layers of tanh with a gate between, and the mean square of what they miss.
struct Network {
  Variable loss() { return ops::mean(ops::square(ops::subtract(drawn.layer(x), target))); }
  Tensor weight(const char* name) { return drawn.parameters.named_values().at(name); }
  Tensor gradient(const char* name) {
    drawn.parameters.clear_gradients();
    Tape tape;
    tape.backward(loss());
    return drawn.parameters.named_pieces(drawn.parameters.gradients()).at(name).clone();
  }
  // After w += factor * step; then w is what it was.
  double loss_after(double factor, const std::vector<double>& step) {
    Tensor w = weight("gate1.w");
    const Tensor before = w.clone();
    for (std::size_t i = 0; i < step.size(); ++i) w.data<double>()[i] += factor * step[i];
    const double after = loss().value().item();
    w.copy_from(before);
    return after;
  }

  Random random{5};
  test::Drawn<GatedFeedForward> drawn{random, DType::kFloat64, kFeatures, kHidden,
                                      Options{.gates = {true, false}}};
  Variable x{test::uniform(random, {6, kFeatures})};
  Variable target{test::uniform(random, {6, kHidden})};
};

// dL/dw of the gate, written by hand: a^T (s (1 - s) g), where a is what the first layer gives,
// s = sigmoid(a w + b), and g = dL/ds.
std::vector<double> gradient_of_gate(const Network& network) {
  const ParameterBuffer& parameters = network.drawn.parameters;
  const Matrix a = test::activated(
      Activation::kTanh, test::affine(test::rows(network.x.value()), parameters, "w1", "b1"));
  const Matrix s =
      test::activated(Activation::kSigmoid, test::affine(a, parameters, "gate1.w", "gate1.b"));
  const Matrix y =
      test::activated(Activation::kTanh, test::affine(test::times(a, s), parameters, "w2", "b2"));
  const Matrix w2 = test::weights(parameters, "w2"), target = test::rows(network.target.value());
  std::vector<double> step(kHidden);
  for (std::size_t n = 0; n < a.size(); ++n) {
    double g = 0;
    for (std::size_t k = 0; k < y[n].size(); ++k) {
      const double dz = 2 * (y[n][k] - target[n][k]) * (1 - y[n][k] * y[n][k]) /
                        static_cast<double>(y.size() * y[n].size());
      for (std::size_t j = 0; j < a[n].size(); ++j) g += a[n][j] * w2[j][k] * dz;
    }
    for (std::size_t j = 0; j < step.size(); ++j) step[j] += a[n][j] * s[n][0] * (1 - s[n][0]) * g;
  }
  return step;
}

TEST(GatedFeedForward, HasGradientsOfCentralDifferencesUnderALoss) {
  Network network;
  const auto leaves = network.drawn.parameters.leaves();
  EXPECT_TRUE(test::gradients_agree([&] { return network.loss(); }, leaves));
}

// A backward pass that is written by hand easily adds what is to be subtracted.
TEST(GatedFeedForward, LowersALossAgainstTheGradientOfAGateAndRaisesItAlong) {
  Network network;
  const std::vector<double> step = gradient_of_gate(network);
  EXPECT_TRUE(test::is_close(network.gradient("gate1.w"), step));
  const double before = network.loss().value().item();
  const std::vector<double> ours = to_doubles(network.gradient("gate1.w"));
  for (const double rate : {0.001, 0.01, 0.1}) {
    EXPECT_GT(network.loss_after(rate, step), before) << rate;
    EXPECT_LT(network.loss_after(-rate, ours), before) << rate;
  }
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
