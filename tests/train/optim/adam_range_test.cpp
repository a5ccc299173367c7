// Adam over the whole range of numbers: a gradient that is finite never does lasting harm.
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include <maskgrad/train/optim/adam.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::kFloatingDTypes;
using test::to_doubles;

constexpr Adam::Form kForms[] = {Adam::Form::kKeras, Adam::Form::kPyTorch};

double largest(DType dtype) {
  return dtype == DType::kFloat32 ? std::numeric_limits<float>::max()
                                  : std::numeric_limits<double>::max();
}

// Adam on `count` weights that start at 0, and the same by the formulas of Keras and PyTorch in a
// type whose exponent is wide enough for squares.
class Pair {
 public:
  Pair(Adam::Form form, DType dtype, std::int64_t count, Adam::Options options = {})
      : form_(form), options_(options), model_(count), parameters_(model_, dtype, 1) {
    options_.form = form;
    adam_ = std::make_unique<Adam>(parameters_, options_);
    w.resize(static_cast<std::size_t>(count)), m_ = v_ = w;
  }

  void step(const std::vector<double>& gradients, double lr) {
    Tensor flat = parameters_.gradients();
    flat.view(0, {std::ssize(gradients)})
        .copy_from(test::make(gradients, {std::ssize(gradients)}, flat.dtype()));
    parameters_.entries()[0].gradient->set_arrived();
    adam_->step(parameters_, lr);
    ++t_;
    for (std::size_t i = 0; i < gradients.size(); ++i) step(i, gradients[i], lr);
  }

  // Each weight is as far from the expected one as `tolerance` times the way it has come at most.
  void expect_close(double tolerance, const std::string& where) const {
    const std::vector<double> values = to_doubles(parameters_.values());
    for (std::size_t i = 0; i < w.size(); ++i) {
      const auto expected = static_cast<double>(w[i]);
      EXPECT_NEAR(values[i], expected, tolerance * static_cast<double>(way_)) << where << ", " << i;
    }
    for (const auto& [name, state] : adam_->state()) {
      for (const double x : to_doubles(state)) EXPECT_TRUE(std::isfinite(x)) << name << where;
    }
  }

  std::vector<long double> w;

 private:
  struct Weights : Module {
    explicit Weights(std::int64_t count) { parameter("w", {count}, zeros()); }
  };

  void step(std::size_t i, long double g, long double lr) {
    const long double b1 = options_.beta1, b2 = options_.beta2, eps = options_.eps;
    const long double c1 = 1 - std::pow(b1, t_), c2 = 1 - std::pow(b2, t_);
    m_[i] += (1 - b1) * (g - m_[i]);
    v_[i] += (1 - b2) * (g * g - v_[i]);
    w[i] -= form_ == Adam::Form::kKeras ? lr * std::sqrt(c2) / c1 * m_[i] / (std::sqrt(v_[i]) + eps)
                                        : lr / c1 * m_[i] / (std::sqrt(v_[i] / c2) + eps);
    if (i == 0) way_ += lr;
  }

  Adam::Form form_;
  Adam::Options options_;
  Weights model_;
  ParameterBuffer parameters_;
  std::unique_ptr<Adam> adam_;
  std::vector<long double> m_, v_;
  long double t_ = 0, way_ = 0;
};

// The figures: the formulas in decimal arithmetic.
TEST(Adam, GoesOnAfterAGradientWhoseSquareOverflows) {
  const double expected[] = {-0.1, -0.16701, -0.21880, -0.26123};
  for (const Adam::Form form : kForms) {
    Pair pair(form, DType::kFloat32, 1);
    for (std::size_t step = 0; step < 4; ++step) {
      pair.step({step == 0 ? 1e20 : 1.0}, 0.1);
      EXPECT_NEAR(static_cast<double>(pair.w[0]), expected[step], 5e-6);
      pair.expect_close(1e-6, fmt::format("step {}", step));
    }
  }
}

TEST(Adam, IsRightForTheLargestGradients) {
  for (const DType dtype : kFloatingDTypes) {
    const double most = largest(dtype);
    const std::vector<std::vector<double>> series = {
        {most, most, most, most, most},
        {most, -most, most, -most, -most},
        {-most, 1, 1, 1, 1},
        {1, 1, 1, most, 1},
        {0, -most, 0, 0, most},
        {most / 2, most / 3, most / 5, -most, most / 7}};
    for (const Adam::Form form : kForms) {
      Pair pair(form, dtype, std::ssize(series));
      for (std::size_t step = 0; step < 5; ++step) {
        std::vector<double> gradients;
        for (const auto& one : series) gradients.push_back(one[step]);
        pair.step(gradients, 0.1);
        pair.expect_close(dtype == DType::kFloat32 ? 2e-6 : 1e-14, fmt::format("step {}", step));
      }
    }
  }
}

// Sixty powers of ten side by side and one after the other, whatever the size of a vector.
TEST(Adam, IsRightForGradientsOfAllSizesTogether) {
  Random random(8);
  for (const DType dtype : kFloatingDTypes) {
    const double low = dtype == DType::kFloat32 ? -18 : -150, high = std::log10(largest(dtype));
    for (const Adam::Form form : kForms) {
      // With an eps of next to nothing the size of a gradient cancels, so small ones count as well.
      Pair pair(form, dtype, 77, {.eps = dtype == DType::kFloat32 ? 1e-30 : 1e-200});
      for (int step = 0; step < 40; ++step) {
        std::vector<double> gradients(77);
        for (double& g : gradients) {
          const double size = std::min(largest(dtype), std::pow(10, random.uniform(low, high)));
          g = (random.coin() ? 1 : -1) * test::make({size}, {1}, dtype).item();
        }
        pair.step(gradients, 0.01);
      }
      pair.expect_close(dtype == DType::kFloat32 ? 3e-6 : 1e-14, to_string(dtype).data());
    }
  }
}

TEST(Adam, IsRightForBetasThatForgetAtOnce) {
  for (const DType dtype : kFloatingDTypes) {
    const double most = largest(dtype);
    for (const Adam::Form form : kForms) {
      Pair pair(form, dtype, 3, {.beta1 = 0, .beta2 = 0, .eps = 1e-7});
      for (const double g : {1.0, -most, most, 1e-3, -1.0}) {
        pair.step({g, -g, 2 / (1 + std::abs(g))}, 0.1);
        pair.expect_close(dtype == DType::kFloat32 ? 2e-6 : 1e-14, fmt::format("gradient {}", g));
      }
    }
  }
}

TEST(Adam, RefusesOptionsThatGiveNoFiniteStep) {
  struct Weight : Module {
    Weight() { parameter("w", {1}, zeros()); }
  } model;
  ParameterBuffer parameters(model, DType::kFloat32, 1);
  const auto error = [&](Adam::Options options) {
    return error_of([&] { Adam(parameters, options); });
  };
  EXPECT_EQ(error({.beta1 = 1}), "[adam] a beta must be at least 0 and less than 1, not 1");
  EXPECT_EQ(error({.beta2 = -0.1}), "[adam] a beta must be at least 0 and less than 1, not -0.1");
  EXPECT_EQ(error({.eps = 0}), "[adam] eps must be a positive number of float32, not 0");
  EXPECT_EQ(error({.eps = 1e-40}), "[adam] eps must be a positive number of float32, not 1e-40");
  EXPECT_EQ(error({.eps = test::kNaN}), "[adam] eps must be a positive number of float32, not nan");
}

}  // namespace
}  // namespace maskgrad
