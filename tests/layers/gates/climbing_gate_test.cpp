// A backward pass for a gate that was published had the sign of its update wrong: for s =
// sigmoid(x w) and g = dL/ds it did w += lr x^T (s (1 - s) g), which climbs a loss that is to be
// lowered.
#include <gtest/gtest.h>

#include <maskgrad/layers/gates/gated_feed_forward.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>

#include "layers/gates/gate_support.hpp"

namespace maskgrad {
namespace {

using test::Matrix;

constexpr std::int64_t kFeatures = 4, kHidden = 3;

// Layers of tanh with a gate between, and the mean square of what they miss.
struct Network {
  Network() {
    Random random(5);
    test::redraw(parameters, random);
    x = Variable(test::uniform(random, {6, kFeatures}));
    target = Variable(test::uniform(random, {6, kHidden}));
  }
  Variable loss() { return ops::mean(ops::square(ops::subtract(layers(x), target))); }
  Tensor weight(const char* name) { return parameters.named_values().at(name); }
  Tensor gradient(const char* name) {
    parameters.clear_gradients();
    Tape tape;
    tape.backward(loss());
    return parameters.named_pieces(parameters.gradients()).at(name).clone();
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

  GatedFeedForward layers{kFeatures, kHidden, {.gates = {true, false}}};
  ParameterBuffer parameters{layers, DType::kFloat64, 1};
  Variable x, target;
};

Matrix tanh_of(Matrix x) {
  for (auto& row : x) {
    for (double& value : row) value = std::tanh(value);
  }
  return x;
}

// x^T (s (1 - s) g) of the network's gate, where x is what the first layer gives.
std::vector<double> published_step(Network& network) {
  const auto weights = [&](const char* name) { return test::weights(network.parameters, name); };
  const auto through = [&](const Matrix& x, const char* w, const char* b) {
    return test::shifted(test::product(x, weights(w)), weights(b)[0]);
  };
  const Matrix h = tanh_of(through(test::rows(network.x.value()), "w1", "b1"));
  Matrix s = through(h, "gate1.w", "gate1.b"), gated = h;
  for (std::size_t n = 0; n < h.size(); ++n) {
    s[n][0] = test::logistic(s[n][0]);
    for (double& value : gated[n]) value *= s[n][0];
  }
  const Matrix y = tanh_of(through(gated, "w2", "b2")), w2 = weights("w2");
  const Matrix target = test::rows(network.target.value());
  std::vector<double> step(kHidden);
  for (std::size_t n = 0; n < h.size(); ++n) {
    double g = 0;  // dL/ds
    for (std::size_t k = 0; k < y[n].size(); ++k) {
      const double dz = 2 * (y[n][k] - target[n][k]) * (1 - y[n][k] * y[n][k]) /
                        static_cast<double>(h.size() * y[n].size());
      for (std::size_t j = 0; j < h[n].size(); ++j) g += h[n][j] * w2[j][k] * dz;
    }
    for (std::size_t j = 0; j < step.size(); ++j) step[j] += h[n][j] * s[n][0] * (1 - s[n][0]) * g;
  }
  return step;
}

TEST(ClimbingGate, HasGradientsOfCentralDifferencesInOurNetwork) {
  Network network;
  EXPECT_TRUE(test::gradients_agree([&] { return network.loss(); }, network.parameters.leaves()));
}

TEST(ClimbingGate, AddsTheGradientThatWeSubtract) {
  Network network;
  const std::vector<double> step = published_step(network);
  EXPECT_TRUE(test::is_close(network.gradient("gate1.w"), step));
  const double before = network.loss().value().item();
  const std::vector<double> ours = test::to_doubles(network.gradient("gate1.w"));
  for (const double rate : {0.001, 0.01, 0.1}) {
    EXPECT_GT(network.loss_after(rate, step), before) << rate;
    EXPECT_LT(network.loss_after(-rate, ours), before) << rate;
  }
}

}  // namespace
}  // namespace maskgrad
