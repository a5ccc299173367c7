#include <gmock/gmock.h>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/layers/gates/glu.hpp>

#include "layers/gates/gate_support.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::Matrix;
using test::to_doubles;
using ::testing::Each;

constexpr std::int64_t kFeatures = LayerSample::kFeatures, kOutputs = 3;

test::MakeLayer maker(const GluOptions& options, std::int64_t outputs = kFeatures) {
  return [=] { return std::make_unique<Glu>(kFeatures, outputs, options); };
}
constexpr GluOptions kSwiGlu = {.activation = Activation::kSilu, .bias = false};
const bool kRegistered = register_layer({"Glu", maker({}, kOutputs)}) &&
                         register_layer({"GluOfSiluWithoutBias", maker(kSwiGlu, kOutputs)});

double gate(Activation activation, double x) {
  if (activation == Activation::kSigmoid) return test::logistic(x);
  if (activation == Activation::kRelu) return std::max(x, 0.0);
  if (activation == Activation::kGelu) return x * 0.5 * std::erfc(-x / std::sqrt(2.0));
  return x * test::logistic(x);
}

Matrix through(const Tensor& x, const ParameterBuffer& parameters, const char* weight,
               const char* bias) {
  const Matrix y = test::product(test::rows(x), test::weights(parameters, weight));
  const bool has_bias = parameters.named_values().contains(bias);
  return has_bias ? test::shifted(y, test::weights(parameters, bias)[0]) : y;
}

TEST(Glu, IsAProductGatedByAnother) {
  Random random(1);
  for (const DType dtype : test::kFloatingDTypes) {
    for (const Activation activation :
         {Activation::kSigmoid, Activation::kRelu, Activation::kGelu, Activation::kSilu}) {
      for (const bool bias : {false, true}) {
        Glu layer(kFeatures, kOutputs, {.activation = activation, .bias = bias});
        ParameterBuffer parameters(layer, dtype, 1);
        EXPECT_EQ(parameters.entries().size(), bias ? 4u : 2u);
        test::redraw(parameters, random);
        const Tensor x = test::uniform(random, {2, 3, kFeatures}).to(dtype);
        const Matrix w = through(x, parameters, "w", "b");
        Matrix y = through(x, parameters, "v", "c");
        for (std::size_t i = 0; i < y.size(); ++i) {
          for (std::size_t j = 0; j < y[i].size(); ++j) y[i][j] *= gate(activation, w[i][j]);
        }
        EXPECT_TRUE(
            test::is_close(layer(Variable(x)).value(), test::flat(y), 8 * test::tolerance(dtype)));
      }
    }
  }
}

TEST(Glu, StartsWithGlorotMatricesAndBiasesOfZero) {
  Glu layer(kFeatures, kOutputs);
  const ParameterBuffer parameters(layer, DType::kFloat64, 1);
  for (const char* name : {"w", "v"}) {
    for (const double value : to_doubles(parameters.named_values().at(name))) {
      EXPECT_LE(std::abs(value), std::sqrt(6.0 / (kFeatures + kOutputs)));
      EXPECT_NE(value, 0);
    }
  }
  for (const char* name : {"b", "c"}) {
    EXPECT_THAT(to_doubles(parameters.named_values().at(name)), Each(0));
  }
}

TEST(Glu, IsSoundStackedAtExtremesAndWithoutPositions) {
  for (const GluOptions& options : {GluOptions(), kSwiGlu}) {
    test::expect_sound(maker(options), kFeatures);
  }
}

TEST(Glu, RefusesWhatDoesNotFit) {
  EXPECT_EQ(error_of([] { Glu(0, 2); }), "[Glu] needs inputs and outputs above 0, got 0 and 2");
  EXPECT_EQ(error_of([] { Glu(2, -1); }), "[Glu] needs inputs and outputs above 0, got 2 and -1");
}

}  // namespace
}  // namespace maskgrad
