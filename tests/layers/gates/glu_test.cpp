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

Matrix naive(const Matrix& x, const ParameterBuffer& parameters, Activation activation) {
  const Matrix gate = test::activated(activation, test::affine(x, parameters, "w", "b"));
  return test::times(gate, test::affine(x, parameters, "v", "c"));
}

TEST(Glu, IsAProductGatedByAnother) {
  Random random(1);
  for (const DType dtype : test::kFloatingDTypes) {
    for (const Activation activation :
         {Activation::kSigmoid, Activation::kRelu, Activation::kGelu, Activation::kSilu}) {
      for (const bool bias : {false, true}) {
        const GluOptions options = {.activation = activation, .bias = bias};
        test::Drawn<Glu> drawn(random, dtype, kFeatures, kOutputs, options);
        EXPECT_EQ(drawn.parameters.entries().size(), bias ? 4u : 2u);
        const Tensor x = test::uniform(random, {2, 3, kFeatures}).to(dtype);
        const Matrix y = naive(test::rows(x), drawn.parameters, activation);
        EXPECT_TRUE(test::is_close(drawn.layer(Variable(x)).value(), test::flat(y),
                                   8 * test::tolerance(dtype)));
      }
    }
  }
}

TEST(Glu, StartsWithGlorotMatricesAndBiasesOfZero) {
  Glu layer(kFeatures, kOutputs);
  const ParameterBuffer parameters(layer, DType::kFloat64, 1);
  for (const char* name : {"w", "v"}) test::expect_glorot(parameters.named_values().at(name));
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
