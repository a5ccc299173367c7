// The two elements of a pair (a, b), rotated by an angle. Internal to src/ops.
#pragma once

#include <maskgrad/ops/functors/element.hpp>

namespace maskgrad::ops::functors {

/// a cos(t) - b sin(t)
struct RotatedFirst {
  template <class V>
  MASKGRAD_RULE V operator()(V a, V b, V cosine, V sine) const {
    return math::multiply_add(math::negative(b), sine, a * cosine);
  }
};

/// a sin(t) + b cos(t)
struct RotatedSecond {
  template <class V>
  MASKGRAD_RULE V operator()(V a, V b, V cosine, V sine) const {
    return math::multiply_add(a, sine, b * cosine);
  }
};

}  // namespace maskgrad::ops::functors
