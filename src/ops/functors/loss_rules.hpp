// Losses of one element, and their gradients, for one element or a vector of them. Internal to
// src/ops.
#pragma once

#include <maskgrad/ops/functors/math.hpp>
#include <maskgrad/ops/functors/rule.hpp>
#include <maskgrad/ops/functors/rules.hpp>

namespace maskgrad::ops::functors {

/// The gradient of a loss as a functor of three elements: its inputs, and what arrives.
template <class Rule>
struct LossGradientOf {
  Rule rule;
  template <class V>
  MASKGRAD_RULE V operator()(V x, V t, V g) const {
    return rule.gradient(x, t, g);
  }
};

/// (x - t)^2
struct SquaredError {
  template <class V>
  MASKGRAD_RULE V operator()(V x, V t) const {
    return (x - t) * (x - t);
  }
  template <class V>
  MASKGRAD_RULE V gradient(V x, V t, V g) const {
    return g * (x - t) * math::constant<V>(2);
  }
};

/// -t log sigmoid(x) - (1 - t) log sigmoid(-x), which is (1 - t) x + softplus(-x) for x >= 0, and
/// -t x + softplus(x) below. The slope, sigmoid(x) - t, is written so that nothing cancels where t
/// is 0 or 1.
struct BinaryCrossEntropy {
  template <class V>
  MASKGRAD_RULE V operator()(V x, V t) const {
    const V tail = math::softplus_tail(size_within(x, math::kExpLimit<math::Element<V>>));
    const V weight = on_side_of(x, math::negative(t), math::constant<V>(1) - t);
    return math::multiply_add(weight, x, tail);
  }
  template <class V>
  MASKGRAD_RULE V gradient(V x, V t, V g) const {
    const V low = t * math::sigmoid(math::negative(x));
    return g * math::multiply_add(math::constant<V>(1) - t, math::sigmoid(x), math::negative(low));
  }
};

/// factor (p - target): the gradient of a logit whose softmax is p, and whose class the target
/// distribution gives `target`.
template <class V>
MASKGRAD_RULE inline V softmax_gradient(V p, V target, V factor) {
  return (p - target) * factor;
}

/// The same as a functor of one element.
struct SoftmaxGradient {
  Factor factor, target;
  template <class V>
  MASKGRAD_RULE V operator()(V p) const {
    return softmax_gradient(p, target.parts<V>().hi, factor.parts<V>().hi);
  }
};

}  // namespace maskgrad::ops::functors
