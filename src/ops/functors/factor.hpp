// A number that elements are multiplied by. Internal to src/ops.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include <maskgrad/ops/functors/sums.hpp>

namespace maskgrad::ops::functors {

/// A factor given in double, as power * (rest.hi + rest.lo) * power. The powers are 1 but for float
/// and a factor beyond its range: a product that is within the range is right then too.
class Factor {
 public:
  explicit Factor(double value) : value_(value) {
    constexpr float kMost = std::numeric_limits<float>::max();
    if (std::abs(value) > kMost) power_ = 0x1p96f;
    if (std::abs(value) < std::numeric_limits<float>::min()) power_ = 0x1p-96f;
    double rest = value / power_ / power_;
    if (std::isfinite(value)) rest = std::clamp<double>(rest, -kMost, kMost);
    const float hi = static_cast<float>(rest);
    rest_ = {hi, std::isfinite(hi) ? static_cast<float>(rest - hi) : 0};
  }

  /// What remains of the factor without the powers.
  template <class V>
  [[gnu::always_inline]] math::Pair<V> rest() const {
    if constexpr (std::is_same_v<math::Element<V>, float>) {
      return {V(rest_.hi), V(rest_.lo)};
    } else {
      return {V(value_), V(0.0)};
    }
  }
  /// Whether the elements of V do not hold the factor.
  template <class V>
  [[gnu::always_inline]] bool is_beyond() const {
    return std::is_same_v<math::Element<V>, float> && power_ != 1;
  }
  /// x times this. The first product is exact, or too small to matter.
  template <class V>
  [[gnu::always_inline]] V times(V x) const {
    const V power = is_beyond<V>() ? V(power_) : math::constant<V>(1);
    return x * power * rest<V>().hi * power;
  }

 private:
  double value_;
  float power_ = 1;
  math::Pair<float> rest_;
};

}  // namespace maskgrad::ops::functors
