#include <gmock/gmock.h>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/layers/gates/highway.hpp>

#include "layers/gates/gate_support.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::Matrix;
using test::to_doubles;
using ::testing::Each;

constexpr std::int64_t kFeatures = LayerSample::kFeatures;

std::unique_ptr<Layer> highway() { return std::make_unique<Highway>(kFeatures); }
std::unique_ptr<Layer> silu_highway() {
  return std::make_unique<Highway>(kFeatures, HighwayOptions{.activation = Activation::kSilu});
}
const bool kRegistered =
    register_layer({"Highway", highway}) && register_layer({"SiluHighway", silu_highway});

Matrix naive(const Matrix& x, const ParameterBuffer& parameters, Activation activation) {
  const Matrix logits = test::affine(x, parameters, "w", "b");
  const Matrix h = test::activated(activation, test::affine(x, parameters, "v", "c"));
  Matrix y = x;
  for (std::size_t i = 0; i < y.size(); ++i) {
    for (std::size_t j = 0; j < y[i].size(); ++j) {
      const double t = test::logistic(logits[i][j]);
      y[i][j] = t * h[i][j] + (1 - t) * x[i][j];
    }
  }
  return y;
}

TEST(Highway, MixesItsInputWithAFunctionOfIt) {
  Random random(1);
  for (const DType dtype : test::kFloatingDTypes) {
    for (const Activation activation : {Activation::kTanh, Activation::kSilu}) {
      test::Drawn<Highway> drawn(random, dtype, kFeatures,
                                 HighwayOptions{.activation = activation});
      const Tensor x = test::uniform(random, {2, 3, kFeatures}).to(dtype);
      const Matrix y = naive(test::rows(x), drawn.parameters, activation);
      EXPECT_TRUE(test::is_close(drawn.layer(Variable(x)).value(), test::flat(y),
                                 4 * test::tolerance(dtype)));
    }
  }
}

// With b = -1 and nothing in w, sigmoid(-1) = 0.27 of the function and 0.73 of the input.
TEST(Highway, AtFirstLetsMostOfItsInputGoAround) {
  Highway layer(kFeatures);
  const ParameterBuffer parameters(layer, DType::kFloat64, 1);
  const auto values = parameters.named_values();
  EXPECT_THAT(to_doubles(values.at("b")), Each(-1));
  EXPECT_THAT(to_doubles(values.at("c")), Each(0));
  for (const char* name : {"w", "v"}) {
    test::expect_glorot(values.at(name));
    Tensor(values.at(name)).copy_from(Tensor::zeros({kFeatures, kFeatures}, DType::kFloat64));
  }
  const Variable x(Tensor::full({2, kFeatures}, 3, DType::kFloat64));
  EXPECT_THAT(to_doubles(layer(x).value()),
              Each(::testing::DoubleNear(3 * 0.7310585786300049, 1e-14)));
}

TEST(Highway, IsItsInputWhereClosedAndItsFunctionWhereOpen) {
  for (const double bias : {-1e4, 1e4}) {
    Highway layer(kFeatures, {.bias = bias});
    const ParameterBuffer parameters(layer, DType::kFloat64, 1);
    Random random(3);
    const Tensor x = test::uniform(random, {4, kFeatures});
    const Matrix function = test::product(test::rows(x), test::weights(parameters, "v"));
    std::vector<double> expected = to_doubles(x);
    if (bias > 0) {
      expected = test::flat(function);
      for (double& value : expected) value = std::tanh(value);
    }
    EXPECT_TRUE(test::is_close(layer(Variable(x)).value(), expected)) << bias;
  }
}

TEST(Highway, IsSoundStackedAtExtremesAndWithoutPositions) {
  for (const auto& make : {highway, silu_highway}) test::expect_sound(make, kFeatures);
}

TEST(Highway, TakesItsFeaturesAndAFiniteBias) {
  EXPECT_EQ(error_of([] { Highway(0); }), "[Highway] needs features above 0, got 0");
  EXPECT_EQ(error_of([] { Highway(2, {.bias = -test::kInf}); }),
            "[Highway] needs a finite bias, got -inf");
}

}  // namespace
}  // namespace maskgrad
