// The factor that an optimizer scales gradients with. Internal to the optimizers.
#pragma once

#include <cmath>
#include <limits>

#include <maskgrad/ops/functors/rule.hpp>

namespace maskgrad {

/// A number as the product of two that T holds, so that it may be smaller than T holds:
/// gradients near the largest float, clipped to norm 1, need a factor of 3e-39.
template <class T>
struct GradientScale {
  MASKGRAD_RULE explicit GradientScale(double scale) : first(static_cast<T>(scale)) {
    constexpr auto kSmallest = static_cast<double>(std::numeric_limits<T>::min());
    if (scale == 0 || std::abs(scale) >= kSmallest) return;
    const int half = std::ilogb(scale) / 2;
    first = static_cast<T>(std::ldexp(1.0, half));
    second = static_cast<T>(std::ldexp(scale, -half));
  }

  MASKGRAD_RULE bool is_one_factor() const { return second == T{1}; }

  T first, second = T{1};
};

}  // namespace maskgrad
