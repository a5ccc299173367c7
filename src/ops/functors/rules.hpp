// Functions of one element and their gradients, for one element or a vector of them. Installed for
// ops/cuda/elements.hpp.
//
// A rule f has f(x), and f.gradient(saved, g) = f'(x) g, `saved` being x or f(x) as f.kSaves says.
// NaN gives NaN. Slopes of relu and leaky_relu are selected, not multiplied: where 0 arrives, 0
// goes on, NaN or not.
#pragma once

#include <maskgrad/ops/functors/factor.hpp>
#include <maskgrad/ops/functors/math.hpp>
#include <maskgrad/ops/functors/rule.hpp>

namespace maskgrad::ops::functors {

/// What backward needs of the forward pass.
enum class Saves { kNothing, kInput, kOutput };

/// The gradient of a rule as a functor of two elements: what the rule saves, and what arrives.
template <class Rule>
struct GradientOf {
  Rule rule;
  template <class V>
  MASKGRAD_RULE V operator()(V saved, V g) const {
    return rule.gradient(saved, g);
  }
};

/// f(x) of what is known for z = |x| as f(-z): `tail` where x < 0, else `mirrored`.
template <class V>
MASKGRAD_RULE inline V on_side_of(V x, V tail, V mirrored) {
  return math::select(x < math::constant<V>(0), tail, mirrored);
}

/// x where x >= 0, else -0, which keeps the sign of what is added.
template <class V>
MASKGRAD_RULE inline V positive_part(V x) {
  return math::at_least(x, math::constant<V>(-0.0));
}

/// |x|, at most `limit`.
template <class V>
MASKGRAD_RULE inline V size_within(V x, double limit) {
  return math::at_most(math::abs(x), math::constant<V>(limit));
}

struct Sigmoid {
  static constexpr Saves kSaves = Saves::kInput;
  template <class V>
  MASKGRAD_RULE V operator()(V x) const {
    return math::sigmoid(x);
  }
  template <class V>
  MASKGRAD_RULE V gradient(V x, V g) const {
    return g * math::sigmoid_slope(size_within(x, math::kExpLimit<math::Element<V>>));
  }
};

/// 1 where x > 0, else 0. As its gradient it has that of sigmoid.
struct StraightThrough {
  static constexpr Saves kSaves = Saves::kInput;
  template <class V>
  MASKGRAD_RULE V operator()(V x) const {
    const V zero = math::constant<V>(0);
    return math::select(x > zero, math::constant<V>(1), math::select(x <= zero, zero, x));
  }
  template <class V>
  MASKGRAD_RULE V gradient(V x, V g) const {
    return Sigmoid().gradient(x, g);
  }
};

struct Tanh {
  static constexpr Saves kSaves = Saves::kInput;
  template <class V>
  MASKGRAD_RULE V operator()(V x) const {
    return math::copysign(math::tanh_of_positive(math::abs(x)), x);
  }
  // tanh'(x) = 4 sigmoid'(2 x)
  template <class V>
  MASKGRAD_RULE V gradient(V x, V g) const {
    return g * math::sigmoid_slope(size_within(x + x, math::kExpLimit<math::Element<V>>), 4);
  }
};

struct Softplus {
  static constexpr Saves kSaves = Saves::kInput;
  template <class V>
  MASKGRAD_RULE V operator()(V x) const {
    const V tail = math::softplus_tail(size_within(x, math::kExpLimit<math::Element<V>>));
    return positive_part(x) + tail;
  }
  template <class V>
  MASKGRAD_RULE V gradient(V x, V g) const {
    return g * math::sigmoid(x);
  }
};

struct Silu {
  static constexpr Saves kSaves = Saves::kInput;
  template <class V>
  MASKGRAD_RULE V operator()(V x) const {
    return math::add_silu_tail(positive_part(x), math::abs(x));
  }
  template <class V>
  MASKGRAD_RULE V gradient(V x, V g) const {
    const V tail = math::silu_slope_tail(math::abs(x));
    return g * on_side_of(x, tail, math::constant<V>(1) - tail);
  }
};

struct Gelu {
  static constexpr Saves kSaves = Saves::kInput;
  template <class V>
  MASKGRAD_RULE V operator()(V x) const {
    const V z = size_within(x, math::kGeluLimit<math::Element<V>>);
    // It has the sign of x. Without fused multiplications a sum of zeros would lose it.
    return math::copysign(math::add_gelu_tail(positive_part(x), z), x);
  }
  template <class V>
  MASKGRAD_RULE V gradient(V x, V g) const {
    const V tail = math::gelu_slope_tail(size_within(x, math::kGeluLimit<math::Element<V>>));
    return g * on_side_of(x, tail, math::constant<V>(1) - tail);
  }
};

struct GeluTanh {
  static constexpr Saves kSaves = Saves::kInput;
  template <class V>
  MASKGRAD_RULE V operator()(V x) const {
    const V z = size_within(x, math::kGeluTanhLimit<math::Element<V>>);
    return math::add_gelu_tanh_tail(positive_part(x), z);
  }
  template <class V>
  MASKGRAD_RULE V gradient(V x, V g) const {
    const V z = size_within(x, math::kGeluTanhLimit<math::Element<V>>);
    const V tail = math::gelu_tanh_slope_tail(z);
    return g * on_side_of(x, tail, math::constant<V>(1) - tail);
  }
};

struct Relu {
  static constexpr Saves kSaves = Saves::kOutput;
  template <class V>
  MASKGRAD_RULE V operator()(V x) const {
    return on_side_of(x, math::constant<V>(0), x);
  }
  template <class V>
  MASKGRAD_RULE V gradient(V y, V g) const {
    const V zero = math::constant<V>(0);
    return math::select(y <= zero, zero, g);
  }
};

struct LeakyRelu {
  static constexpr Saves kSaves = Saves::kInput;
  Factor slope;
  template <class V>
  MASKGRAD_RULE V operator()(V x) const {
    return on_side_of(x, slope.times(x), x);
  }
  template <class V>
  MASKGRAD_RULE V gradient(V x, V g) const {
    return math::select(x <= math::constant<V>(0), slope.times(g), g);
  }
};

struct Elu {
  static constexpr Saves kSaves = Saves::kInput;
  Factor alpha;
  template <class V>
  MASKGRAD_RULE V operator()(V x) const {
    const auto y = math::expm1_of_minus(math::abs(x));
    const auto factor = alpha.parts<V>();
    const V low = math::multiply_add(factor.hi, y.lo, factor.lo * y.hi);
    return on_side_of(x, math::fused_multiply_add(factor.hi, y.hi, low), x);
  }
  template <class V>
  MASKGRAD_RULE V gradient(V x, V g) const {
    const auto e =
        math::exponential(math::negative(size_within(x, math::kExpLimit<math::Element<V>>)));
    // e^x may be denormal where alpha e^x is not.
    const math::Element<V> room = alpha.room<math::Element<V>>();
    const V factor = alpha.parts<V>().hi * V(room);
    const V slope = math::scaled(math::multiply_add(factor, e.q, factor), e.n) * V(1 / room);
    return math::select(x > math::constant<V>(0), g, g * slope);
  }
};

struct Negate {
  static constexpr Saves kSaves = Saves::kNothing;
  template <class V>
  MASKGRAD_RULE V operator()(V x) const {
    return math::negative(x);
  }
  template <class V>
  MASKGRAD_RULE V gradient(V, V g) const {
    return math::negative(g);
  }
};

struct Scale {
  static constexpr Saves kSaves = Saves::kNothing;
  Factor factor;
  template <class V>
  MASKGRAD_RULE V operator()(V x) const {
    return factor.times(x);
  }
  template <class V>
  MASKGRAD_RULE V gradient(V, V g) const {
    return factor.times(g);
  }
};

struct Exp {
  static constexpr Saves kSaves = Saves::kOutput;
  template <class V>
  MASKGRAD_RULE V operator()(V x) const {
    return math::exp(x);
  }
  template <class V>
  MASKGRAD_RULE V gradient(V y, V g) const {
    return y * g;
  }
};

struct Log {
  static constexpr Saves kSaves = Saves::kInput;
  template <class V>
  MASKGRAD_RULE V operator()(V x) const {
    return math::log(x);
  }
  template <class V>
  MASKGRAD_RULE V gradient(V x, V g) const {
    return g / x;
  }
};

struct Sqrt {
  static constexpr Saves kSaves = Saves::kOutput;
  template <class V>
  MASKGRAD_RULE V operator()(V x) const {
    return math::sqrt(x);
  }
  template <class V>
  MASKGRAD_RULE V gradient(V y, V g) const {
    return g / (y + y);
  }
};

struct Square {
  static constexpr Saves kSaves = Saves::kInput;
  template <class V>
  MASKGRAD_RULE V operator()(V x) const {
    return x * x;
  }
  // In this order, so that neither product overflows where the gradient does not.
  template <class V>
  MASKGRAD_RULE V gradient(V x, V g) const {
    return g * x * math::constant<V>(2);
  }
};

struct Abs {
  static constexpr Saves kSaves = Saves::kInput;
  template <class V>
  MASKGRAD_RULE V operator()(V x) const {
    return math::abs(x);
  }
  // x - x: 0, or NaN
  template <class V>
  MASKGRAD_RULE V gradient(V x, V g) const {
    const V zero = math::constant<V>(0);
    return math::select(x > zero, g, math::select(x < zero, math::negative(g), x - x));
  }
};

/// x^exponent. The slope is 0 everywhere for the exponent 0.
struct Pow {
  static constexpr Saves kSaves = Saves::kInput;
  double exponent;
  template <class V>
  MASKGRAD_RULE V operator()(V x) const {
    return math::pow(x, exponent);
  }
  template <class V>
  MASKGRAD_RULE V gradient(V x, V g) const {
    if (exponent == 0) return math::constant<V>(0);
    return math::pow_gradient(x, g, exponent);
  }
};

/// The nearest number in [low, high]. The slope is 1 there, ends included, and 0 elsewhere.
struct Clip {
  static constexpr Saves kSaves = Saves::kInput;
  double low, high;
  template <class V>
  MASKGRAD_RULE V operator()(V x) const {
    return math::at_most(math::at_least(x, math::constant<V>(low)), math::constant<V>(high));
  }
  template <class V>
  MASKGRAD_RULE V gradient(V x, V g) const {
    const V zero = math::constant<V>(0);
    const V within_high = math::select(x <= math::constant<V>(high), g, zero);
    return math::select(x >= math::constant<V>(low), within_high, zero);
  }
};

}  // namespace maskgrad::ops::functors
