// A product to be added up, for one element or a vector of them. Internal to src/ops.
#pragma once

#include <maskgrad/ops/functors/element.hpp>
#include <maskgrad/ops/functors/rule.hpp>

namespace maskgrad::ops::math {

/// x y, rounded before anything is added to it. To a plain product and a sum the compiler gives one
/// rounding or two, as it likes.
template <class V>
MASKGRAD_RULE inline V product(V x, V y) {
  return math::multiply_add(x, y, constant<V>(-0.0));
}

}  // namespace maskgrad::ops::math
