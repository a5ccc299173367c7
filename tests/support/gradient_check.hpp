// Gradients against central differences.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <maskgrad/tensor/gradient_kernels.hpp>
#include <maskgrad/tensor/tape.hpp>

#include "support/tensors.hpp"

namespace maskgrad::test {

/// A float64 leaf under the name that a complaint gives it.
struct NamedLeaf {
  std::string name;
  Variable leaf;
};

struct GradientCheck {
  double step = 1e-5;
  double tolerance = 2e-8;  // of max(1, |gradient|)
  std::uint64_t seed = 1;   // of the weights of the outputs
};

namespace detail {

/// sum_i weight_i y_i. Places of weight 0 are not read, so that holes may hold anything.
inline double weighted_sum(const Tensor& weight, const Tensor& y) {
  const auto w = weight.values<double>(), values = y.values<double>();
  double total = 0;
  for (std::size_t i = 0; i < w.size(); ++i) total += w[i] == 0 ? 0 : w[i] * values[i];
  return total;
}

/// Random weights for the elements of y, exactly 0 at the holes of its mask.
inline Tensor output_weights(const Variable& y, std::uint64_t seed) {
  Random random(seed, stream_of("gradient_check"));
  Tensor weights = uniform(random, y.shape(), 0.5, 1.5);
  if (y.mask().defined()) fill_holes(weights, y.mask(), 0.0);
  return weights;
}

inline double central_difference(const std::function<Variable()>& f, const Tensor& weights,
                                 Tensor at, std::int64_t i, double step) {
  const NoGrad no_grad;
  double& x = at.data<double>()[i];
  const double here = x;
  x = here + step;
  const double above = weighted_sum(weights, f().value());
  x = here - step;
  const double below = weighted_sum(weights, f().value());
  x = here;
  return (above - below) / (2 * step);
}

}  // namespace detail

/// Compares the gradients that backward leaves in `leaves` with central differences of f, a
/// function of their values of any output shape (summed with random weights). Everything float64.
/// A failure names the worst element: "a[5] of (2, 3): backward gave 1, differences give 2".
inline ::testing::AssertionResult gradients_agree(const std::function<Variable()>& f,
                                                  std::vector<NamedLeaf> leaves,
                                                  const GradientCheck& options = {}) {
  for (NamedLeaf& named : leaves) named.leaf.clear_grad();
  Tensor weights;
  {
    Tape tape;
    const Variable y = f();
    weights = detail::output_weights(y, options.seed);
    if (y.requires_grad()) tape.backward(y, weights);
  }
  double worst = 0;
  std::string complaint;
  for (const auto& [name, leaf] : leaves) {
    const Tensor grad =
        leaf.grad().defined() ? leaf.grad() : Tensor::zeros(leaf.shape(), DType::kFloat64);
    for (std::int64_t i = 0; i < grad.numel(); ++i) {
      const double analytic = grad.values<double>()[static_cast<std::size_t>(i)];
      const double numeric = detail::central_difference(f, weights, leaf.value(), i, options.step);
      const double error =
          std::abs(analytic - numeric) / std::max({1.0, std::abs(analytic), std::abs(numeric)});
      if (error <= worst) continue;  // a NaN is worse than anything
      worst = std::isnan(error) ? HUGE_VAL : error;
      complaint = fmt::format("{}[{}] of {}: backward gave {}, differences give {}", name, i,
                              leaf.shape(), analytic, numeric);
    }
  }
  if (worst <= options.tolerance) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << complaint;
}

}  // namespace maskgrad::test
