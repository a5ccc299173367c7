#include <cmath>

#include <gtest/gtest.h>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/train/optim/adam.hpp>
#include <maskgrad/train/optim/gradient_norm.hpp>
#include <maskgrad/train/optim/sgd.hpp>

#include "support/tensors.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using test::kFloatingDTypes;
using test::kInf;
using test::kNaN;
using test::same_bits;
using test::to_doubles;
using test::uniform;
using test::WithThreads;

// Enough for several chunks and a rest, in two parameters.
struct Model {
  explicit Model(DType dtype) : parameters(dense, dtype, 1) {
    Random random(4);
    Tensor gradients = parameters.gradients();
    gradients.copy_from(uniform(random, gradients.shape()).to(dtype));
    keep();
  }

  // The parameters have these gradients until the next pass.
  void keep() {
    for (const auto& entry : parameters.entries()) {
      entry.gradient->set_arrived();
    }
  }

  Dense dense{151, 233};
  ParameterBuffer parameters;
};

long double norm_by_hand(const Tensor& gradients) {
  long double sum = 0;
  for (const double g : to_doubles(gradients)) sum += static_cast<long double>(g) * g;
  return std::sqrt(sum);
}

TEST(GradientNorm, IsTheRootOfTheSumOfSquares) {
  for (const DType dtype : kFloatingDTypes) {
    Model model(dtype);
    const auto expected = static_cast<double>(norm_by_hand(model.parameters.gradients()));
    EXPECT_NEAR(gradient_norm(model.parameters), expected, 1e-13 * expected);
  }
}

TEST(GradientNorm, IsZeroForAModelWithoutParametersOrGradients) {
  Module none;
  ParameterBuffer nothing(none, DType::kFloat32, 1);
  EXPECT_EQ(gradient_norm(nothing), 0.0);
  Dense dense(3, 4);
  ParameterBuffer parameters(dense, DType::kFloat32, 1);
  EXPECT_EQ(gradient_norm(parameters), 0.0);
}

TEST(GradientNorm, HasTheSameBitsOnAnyNumberOfThreads) {
  for (const DType dtype : kFloatingDTypes) {
    Model model(dtype);
    const double alone = gradient_norm(model.parameters);
    for (const int count : {2, 3, 7}) {
      const WithThreads threads(count);
      for (int i = 0; i < 20; ++i) EXPECT_EQ(gradient_norm(model.parameters), alone) << count;
    }
  }
}

TEST(GradientNorm, DoesNotOverflowWhereFloat32Would) {
  Model model(DType::kFloat32);
  Tensor gradients = model.parameters.gradients();
  gradients.fill(1e30);
  EXPECT_NEAR(gradient_norm(model.parameters) / 1e30,
              std::sqrt(static_cast<double>(gradients.numel())), 1e-4);
}

TEST(GradientNorm, NeitherOverflowsNorVanishesInFloat64) {
  for (const double size : {1e200, 1e304, 1e-200, 1e-300, 1e150, 1e-150}) {
    Model model(DType::kFloat64);
    Tensor gradients = model.parameters.gradients();
    for (double* g = gradients.data<double>(); g < gradients.data<double>() + gradients.numel();
         ++g) {
      *g *= size;
    }
    const auto expected = static_cast<double>(norm_by_hand(gradients));
    const double norm = gradient_norm(model.parameters);
    EXPECT_NEAR(norm / expected, 1.0, 1e-13) << size;
    const WithThreads threads(3);
    EXPECT_EQ(gradient_norm(model.parameters), norm);
  }
}

TEST(GradientNorm, SeesOneLargeNumberAmongSmallOnes) {
  Model model(DType::kFloat64);
  Tensor gradients = model.parameters.gradients();
  gradients.data<double>()[gradients.numel() / 2] = -1e308;
  EXPECT_NEAR(gradient_norm(model.parameters) / 1e308, 1.0, 1e-15);
}

TEST(GradientNorm, IsNotFiniteWhenItExceedsWhatADoubleHolds) {
  Model model(DType::kFloat64);
  model.parameters.gradients().fill(1.5e308);
  EXPECT_EQ(gradient_norm(model.parameters), kInf);
}

TEST(GradientNorm, IsNotFiniteWhenAGradientIsNot) {
  for (const double bad : {kNaN, kInf, -kInf}) {
    Model model(DType::kFloat32);
    Tensor gradients = model.parameters.gradients();
    gradients.data<float>()[gradients.numel() - 100] = static_cast<float>(bad);
    EXPECT_FALSE(std::isfinite(gradient_norm(model.parameters)));
  }
}

TEST(ClipFactor, ScalesDownToTheNormAndNeverUp) {
  EXPECT_DOUBLE_EQ(clip_factor(2.0, 1.0), 1.0 / 2.000001);
  EXPECT_DOUBLE_EQ(clip_factor(100.0, 0.5), 0.5 / 100.000001);
  EXPECT_EQ(clip_factor(0.5, 1.0), 1.0);
  EXPECT_EQ(clip_factor(0.0, 1.0), 1.0);
}

template <class O>
std::unique_ptr<Optimizer> make(const ParameterBuffer& parameters) {
  return std::make_unique<O>(parameters);
}

class ScaledStep : public ::testing::TestWithParam<decltype(&make<Adam>)> {};
INSTANTIATE_TEST_SUITE_P(AdamAndSgd, ScaledStep, ::testing::Values(&make<Adam>, &make<Sgd>));

// A power of two scales exactly, so the bits must agree.
TEST_P(ScaledStep, IsTheStepOfScaledGradients) {
  for (const DType dtype : kFloatingDTypes) {
    Model scaled(dtype), plain(dtype);
    const auto with_factor = GetParam()(scaled.parameters), without = GetParam()(plain.parameters);
    Tensor gradients = plain.parameters.gradients();
    gradients.copy_from(test::make(
        [&] {
          std::vector<double> values = to_doubles(gradients);
          for (double& g : values) g *= 0.25;
          return values;
        }(),
        gradients.shape(), dtype));
    for (int step = 0; step < 3; ++step) {
      with_factor->step(scaled.parameters, 0.1, 0.25);
      without->step(plain.parameters, 0.1);
    }
    EXPECT_TRUE(same_bits(scaled.parameters.values(), plain.parameters.values()));
    for (const auto& [name, moment] : with_factor->state()) {
      EXPECT_TRUE(same_bits(moment, without->state().at(name))) << name;
    }
  }
}

TEST_P(ScaledStep, LeavesTheGradientsAsTheyAre) {
  Model model(DType::kFloat32);
  const Tensor before = model.parameters.gradients().clone();
  GetParam()(model.parameters)->step(model.parameters, 0.1, 0.3);
  EXPECT_TRUE(same_bits(model.parameters.gradients(), before));
}

TEST_P(ScaledStep, HasTheSameBitsOnAnyNumberOfThreads) {
  for (const DType dtype : kFloatingDTypes) {
    Model alone(dtype), shared(dtype);
    const auto first = GetParam()(alone.parameters), second = GetParam()(shared.parameters);
    for (int step = 0; step < 5; ++step) {
      first->step(alone.parameters, 0.1, 0.7);
      const WithThreads threads(2 + step % 2);
      second->step(shared.parameters, 0.1, 0.7);
    }
    EXPECT_TRUE(same_bits(alone.parameters.values(), shared.parameters.values()));
  }
}

}  // namespace
}  // namespace maskgrad
