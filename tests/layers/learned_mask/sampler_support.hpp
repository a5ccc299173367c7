// What the tests of samplers share.
#pragma once

#include <cmath>
#include <functional>
#include <vector>

#include <maskgrad/layers/learned_mask/sampler.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/tensors.hpp"

namespace maskgrad::test {

inline double logistic_function(double x) { return 1 / (1 + std::exp(-x)); }

/// Mean and standard error of numbers.
struct Estimate {
  double mean = 0, error = 0;
};
inline Estimate estimate(const std::vector<double>& numbers) {
  const auto n = static_cast<double>(numbers.size());
  double sum = 0, squares = 0;
  for (const double x : numbers) sum += x;
  const double mean = sum / n;
  for (const double x : numbers) squares += (x - mean) * (x - mean);
  return {mean, std::sqrt(squares / (n - 1) / n)};
}

/// Within 4.5 standard errors, which one seed in 150,000 misses.
inline ::testing::AssertionResult agrees(const Estimate& estimate, double exact) {
  if (std::abs(estimate.mean - exact) <= 4.5 * estimate.error + 1e-12)
    return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << estimate.mean << " +- " << estimate.error << " is not " << exact;
}

/// The mean of f(n) over the logistic distribution, by the midpoint rule over its quantiles.
inline double mean_over_noise(const std::function<double(double)>& f, int parts = 200'000) {
  double sum = 0;
  for (int i = 0; i < parts; ++i) {
    const double u = (i + 0.5) / parts;
    sum += f(std::log(u) - std::log1p(-u));
  }
  return sum / parts;
}

/// Logits [1, n], all the same number.
inline Variable logits_of(double logit, std::int64_t n) {
  return leaf(Tensor::full({1, n}, logit, DType::kFloat64));
}

}  // namespace maskgrad::test
