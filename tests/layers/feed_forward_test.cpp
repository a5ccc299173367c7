#include <cmath>
#include <numbers>

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
using test::to_doubles;
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

double activated(Activation activation, double x) {
  switch (activation) {
    case Activation::kRelu:
      return std::max(x, 0.0);
    case Activation::kGelu:
      return x * 0.5 * std::erfc(-x / std::sqrt(2.0));
    case Activation::kGeluTanh:
      return 0.5 * x *
             (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    case Activation::kSilu:
      return x / (1 + std::exp(-x));
    case Activation::kTanh:
      return std::tanh(x);
    case Activation::kElu:
      return x > 0 ? x : std::expm1(x);
    case Activation::kSigmoid:
      return 1 / (1 + std::exp(-x));
  }
  return test::kNaN;
}

Matrix projected(const Matrix& x, const ParameterBuffer& parameters, const char* weight,
                 const char* bias) {
  const auto values = parameters.named_values();
  const Matrix y = test::product(x, test::matrix_of(values.at(weight)));
  return values.contains(bias) ? test::shifted(y, to_doubles(values.at(bias))) : y;
}

std::vector<double> naive(const Tensor& x, const ParameterBuffer& parameters,
                          const FeedForwardOptions& options) {
  const auto rows = static_cast<std::size_t>(x.numel() / kFeatures);
  const Matrix in = test::rows_of(to_doubles(x), 0, rows, kFeatures);
  Matrix hidden = projected(in, parameters, "w1", "b1");
  for (auto& row : hidden) {
    for (double& value : row) value = activated(options.activation, value);
  }
  if (options.gated) {
    const Matrix gate = projected(in, parameters, "v", "c");
    for (std::size_t i = 0; i < rows; ++i) {
      for (std::size_t j = 0; j < hidden[i].size(); ++j) hidden[i][j] *= gate[i][j];
    }
  }
  std::vector<double> y;
  for (const auto& row : projected(hidden, parameters, "w2", "b2")) {
    y.insert(y.end(), row.begin(), row.end());
  }
  return y;
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
          EXPECT_TRUE(test::is_close(layer(Variable(x)).value(), naive(x, parameters, options),
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
