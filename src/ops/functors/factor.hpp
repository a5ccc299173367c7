// A number that elements are multiplied by. Internal to src/ops.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include <maskgrad/ops/functors/sums.hpp>

namespace maskgrad::ops::functors {

/// A factor given in double, as power * (rest.hi + rest.lo). In double that is 1 * (factor + 0). In
/// float it is right beyond the range of float too, wherever the product is within it.
class Factor {
 public:
  explicit Factor(double value) : value_(value) {
    constexpr float kMost = std::numeric_limits<float>::max();
    if (std::abs(value) > kMost) power_ = 0x1p120f;
    if (std::abs(value) < std::numeric_limits<float>::min()) power_ = 0x1p-120f;
    double rest = value / power_;
    if (std::isfinite(value)) rest = std::clamp<double>(rest, -kMost, kMost);
    const float hi = static_cast<float>(rest);
    rest_ = {hi, std::isfinite(hi) ? static_cast<float>(rest - hi) : 0};
  }

  template <class V>
  [[gnu::always_inline]] V power() const {
    return std::is_same_v<math::Element<V>, float> ? V(power_) : math::constant<V>(1);
  }
  template <class V>
  [[gnu::always_inline]] math::Pair<V> rest() const {
    if constexpr (std::is_same_v<math::Element<V>, float>) {
      return {V(rest_.hi), V(rest_.lo)};
    } else {
      return {V(value_), V(0.0)};
    }
  }
  /// x times this. A product with a power of two is exact, so it comes first.
  template <class V>
  [[gnu::always_inline]] V times(V x) const {
    return x * power<V>() * rest<V>().hi;
  }

 private:
  double value_;
  float power_ = 1;
  math::Pair<float> rest_;
};

}  // namespace maskgrad::ops::functors
