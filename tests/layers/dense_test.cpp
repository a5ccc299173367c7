#include <algorithm>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include <maskgrad/layers/check_layer.hpp>
#include <maskgrad/layers/dense.hpp>
#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/tensor/mask/holes.hpp>

#include "layers/support.hpp"
#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::gradients_agree;
using test::is_close;
using test::kFloatingDTypes;
using test::leaf;
using test::mask_of;
using test::run_pass;
using test::same_bits;
using test::to_doubles;
using test::uniform;

constexpr std::int64_t kIn = 4, kOut = 3;

const bool kRegistered = register_layer(
    {"Dense", [] { return std::make_unique<Dense>(LayerSample::kFeatures, kOut, ops::relu); }});

// A bias of 0, as it starts, would hide a missing one.
void randomize(ParameterBuffer& parameters, Random& random) {
  for (const auto& [name, view] : parameters.named_values()) {
    Tensor target = view;
    target.copy_from(uniform(random, view.shape(), -1, 1).to(view.dtype()));
  }
}

std::vector<double> naive_dense(const Tensor& x, const ParameterBuffer& parameters, bool relu) {
  const auto weight = to_doubles(parameters.named_values().at("weight"));
  const auto bias = to_doubles(parameters.named_values().at("bias"));
  const std::vector<double> values = to_doubles(x);
  std::vector<double> y;
  for (std::size_t row = 0; row < values.size(); row += kIn) {
    for (std::size_t o = 0; o < kOut; ++o) {
      double sum = bias[o];
      for (std::size_t i = 0; i < kIn; ++i) sum += values[row + i] * weight[i * kOut + o];
      y.push_back(relu ? std::max(sum, 0.0) : sum);
    }
  }
  return y;
}

TEST(Dense, IsAProductABiasAndAnActivation) {
  Random random(1);
  for (const DType dtype : kFloatingDTypes) {
    for (const Shape& shape : {Shape{5, kIn}, Shape{2, 3, kIn}, Shape{0, kIn}}) {
      const Tensor x = uniform(random, shape).to(dtype);
      Dense linear(kIn, kOut), relu(kIn, kOut, ops::relu);
      ParameterBuffer of_linear(linear, dtype, 1), of_relu(relu, dtype, 2);
      randomize(of_linear, random);
      randomize(of_relu, random);
      EXPECT_EQ(linear(Variable(x)).shape(), shape.with_dim(-1, kOut));
      EXPECT_TRUE(is_close(linear(Variable(x)).value(), naive_dense(x, of_linear, false)));
      EXPECT_TRUE(is_close(relu(Variable(x)).value(), naive_dense(x, of_relu, true)));
    }
  }
}

TEST(Dense, HasTheGradientsOfInputWeightAndBias) {
  Random random(2);
  for (const Dense::Activation activation :
       {Dense::Activation(nullptr), Dense::Activation(ops::tanh), Dense::Activation(ops::relu)}) {
    for (const SequenceMask& mask : {SequenceMask(), mask_of({1, 0, 1, 1, 1, 0}, {2, 3})}) {
      Dense dense(kIn, kOut, activation);
      ParameterBuffer parameters(dense, DType::kFloat64, 1);
      randomize(parameters, random);
      const Variable x = leaf(uniform(random, {2, 3, kIn}), mask);
      auto leaves = parameters.leaves();
      leaves.push_back({"x", x});
      EXPECT_TRUE(gradients_agree([&] { return dense(x); }, leaves));
    }
  }
}

TEST(Dense, KeepsTheMaskAndLetsNothingThroughItsHoles) {
  Random random(3);
  const SequenceMask mask = mask_of({1, 0, 1, 0, 0, 1}, {2, 3});
  for (const DType dtype : kFloatingDTypes) {
    Dense dense(kIn, kOut, ops::relu);
    ParameterBuffer parameters(dense, dtype, 1);
    const Tensor x = uniform(random, {2, 3, kIn}).to(dtype);
    const Tensor g = uniform(random, {2, 3, kOut}).to(dtype);
    const auto clean = run_pass(dense, parameters, leaf(x.clone(), mask), g);
    EXPECT_TRUE(clean.output.mask() == mask);
    for (const double poison : {1e30, -1e30, HUGE_VAL, -HUGE_VAL, std::nan("")}) {
      Tensor bad = x.clone();
      fill_holes(bad, mask, poison);
      const auto poisoned = run_pass(dense, parameters, leaf(bad, mask), g);
      EXPECT_TRUE(same_bits(clean.gradients, poisoned.gradients)) << poison;
      EXPECT_TRUE(same_bits(clean.input_grad, poisoned.input_grad)) << poison;
    }
  }
}

TEST(Dense, StartsWithAGlorotWeightAndABiasOfZero) {
  Dense dense(kIn, kOut);
  const ParameterBuffer parameters(dense, DType::kFloat64, 1);
  EXPECT_EQ(to_doubles(parameters.named_values().at("bias")), std::vector<double>(kOut, 0.0));
  const std::vector<double> weight = to_doubles(parameters.named_values().at("weight"));
  EXPECT_TRUE(std::all_of(weight.begin(), weight.end(), [](double w) {
    return w != 0 && std::abs(w) <= std::sqrt(6.0 / (kIn + kOut));
  }));
}

TEST(Dense, RefusesAnInputOfAnotherWidth) {
  Dense dense(kIn, kOut);
  const ParameterBuffer parameters(dense, DType::kFloat32, 1);
  EXPECT_EQ(error_of([&] {
              dense(Variable(Tensor::zeros({2, 5}, DType::kFloat32)));
            }),
            "[linear] inner dimensions must match: x is (2, 5), weight (4, 3)");
}

}  // namespace
}  // namespace maskgrad
