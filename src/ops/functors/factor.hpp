// A number that elements are multiplied by. Installed for ops/cuda/elements.hpp.
#pragma once

#include <cmath>
#include <limits>
#include <type_traits>

#include <maskgrad/ops/functors/rule.hpp>
#include <maskgrad/ops/functors/sums.hpp>

namespace maskgrad::ops::functors {

/// A factor, given in double, within the range of the elements' dtype.
class Factor {
 public:
  explicit Factor(double value) : value_(value), of_float_{static_cast<float>(value), 0} {
    if (std::isfinite(of_float_.hi)) of_float_.lo = static_cast<float>(value - of_float_.hi);
  }

  /// The factor as a sum.
  template <class V>
  MASKGRAD_RULE math::Pair<V> parts() const {
    if constexpr (std::is_same_v<math::Element<V>, float>) {
      return {V(of_float_.hi), V(of_float_.lo)};
    } else {
      return {V(value_), V(0.0)};
    }
  }
  template <class V>
  MASKGRAD_RULE V times(V x) const {
    return x * parts<V>().hi;
  }
  /// 1, or 1 / 2 for a factor so large that twice as much is out of range.
  template <class T>
  MASKGRAD_RULE T room() const {
    return std::abs(value_) > std::numeric_limits<T>::max() / 2 ? T(0.5) : T(1);
  }

 private:
  double value_;
  math::Pair<float> of_float_;
};

}  // namespace maskgrad::ops::functors
