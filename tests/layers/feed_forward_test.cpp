#include <gmock/gmock.h>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/layers/feed_forward.hpp>

#include "layers/matrix.hpp"
#include "layers/support.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::Matrix;
using test::uniform;

constexpr std::int64_t kFeatures = LayerSample::kFeatures, kHidden = 7;
constexpr Activation kActivations[] = {
    Activation::kRelu, Activation::kGelu, Activation::kGeluTanh, Activation::kSilu,
    Activation::kTanh, Activation::kElu,  Activation::kSigmoid};

bool add_sample(const char* name, const FeedForwardOptions& options) {
  return register_layer(
      {name, [=] { return std::make_unique<FeedForward>(kFeatures, kHidden, options); }});
}
const bool kRegistered =
    add_sample("FeedForward", {}) &&
    add_sample("SwiGlu", {.activation = Activation::kSilu, .gated = true, .bias = false});

Matrix naive(const Matrix& x, const ParameterBuffer& parameters,
             const FeedForwardOptions& options) {
  Matrix hidden = test::activated(options.activation, test::affine(x, parameters, "w1", "b1"));
  if (options.gated) hidden = test::times(hidden, test::affine(x, parameters, "v", "c"));
  return test::affine(hidden, parameters, "w2", "b2");
}

TEST(FeedForward, IsTwoMatricesAndAFunctionBetweenThemOrAGate) {
  Random random(1);
  for (const DType dtype : test::kFloatingDTypes) {
    for (const Activation activation : kActivations) {
      for (const bool gated : {false, true}) {
        for (const bool bias : {false, true}) {
          const FeedForwardOptions options = {
              .activation = activation, .gated = gated, .bias = bias};
          FeedForward layer(kFeatures, kHidden, options);
          const ParameterBuffer parameters(layer, dtype, 1);
          EXPECT_EQ(parameters.entries().size(), (gated ? 3u : 2u) * (bias ? 2u : 1u));
          for (const auto& [name, view] : parameters.named_values()) {
            Tensor target = view;
            target.copy_from(uniform(random, view.shape(), -1, 1).to(dtype));
          }
          const Tensor x = uniform(random, {2, 3, kFeatures}).to(dtype);
          EXPECT_TRUE(test::is_close(layer(Variable(x)).value(),
                                     test::flat(naive(test::rows(x), parameters, options)),
                                     8 * test::tolerance(dtype)));
        }
      }
    }
  }
}

TEST(FeedForward, NeedsFeaturesAndHidden) {
  const auto made = [](std::int64_t features, std::int64_t hidden) {
    return error_of([&] { FeedForward(features, hidden); });
  };
  EXPECT_EQ(made(4, 0), "[FeedForward] needs features and hidden above 0, got 4 and 0");
  EXPECT_EQ(made(0, 4), "[FeedForward] needs features and hidden above 0, got 0 and 4");
  EXPECT_EQ(made(4, -1), "[FeedForward] needs features and hidden above 0, got 4 and -1");
  EXPECT_EQ(made(1, 1), "no error");
}

TEST(Activation, HasANameForEachAndNoOther) {
  for (const Activation activation : kActivations) {
    EXPECT_EQ(activation_from_string(to_string(activation)), activation);
  }
  EXPECT_EQ(error_of([] { activation_from_string("swish"); }),
            "[activation] 'swish' is not one of relu, gelu, gelu_tanh, silu, tanh, elu, sigmoid");
}

}  // namespace
}  // namespace maskgrad
