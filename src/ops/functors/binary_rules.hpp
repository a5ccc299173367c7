// Functions of two or three elements that stand at the same place, and their gradients, for one
// element or a vector of them. Internal to src/ops.
#pragma once

#include <maskgrad/ops/functors/element.hpp>
#include <maskgrad/ops/functors/factor.hpp>
#include <maskgrad/ops/functors/rule.hpp>

namespace maskgrad::ops::functors {

/// x itself. Elements of any dtype.
struct Same {
  template <class V>
  MASKGRAD_RULE V operator()(V x) const {
    return x;
  }
};

struct Add {
  template <class V>
  MASKGRAD_RULE V operator()(V a, V b) const {
    return a + b;
  }
};

struct Subtract {
  template <class V>
  MASKGRAD_RULE V operator()(V a, V b) const {
    return a - b;
  }
};

struct Multiply {
  template <class V>
  MASKGRAD_RULE V operator()(V a, V b) const {
    return a * b;
  }
};

struct Divide {
  template <class V>
  MASKGRAD_RULE V operator()(V a, V b) const {
    return a / b;
  }
};

/// -a b
struct NegatedProduct {
  template <class V>
  MASKGRAD_RULE V operator()(V a, V b) const {
    return math::negative(a) * b;
  }
};

struct Greater {
  template <class V>
  MASKGRAD_RULE auto operator()(V a, V b) const {
    return a > b;
  }
};

struct Less {
  template <class V>
  MASKGRAD_RULE auto operator()(V a, V b) const {
    return a < b;
  }
};

/// Of a and b the one that Wins(a, b); NaN where either is NaN.
template <class Wins>
struct Extremum {
  template <class V>
  MASKGRAD_RULE V operator()(V a, V b) const {
    return math::select(Wins()(b, a), b, math::select(b == b, a, b));
  }
};

/// What goes to `of`: all of g where it wins, nothing where `other` does, half where neither does.
/// Selected, as an infinite g times 0 is NaN.
template <class Wins>
struct ShareOf {
  template <class V>
  MASKGRAD_RULE V operator()(V g, V of, V other) const {
    const V rest =
        math::select(Wins()(other, of), math::constant<V>(0), g * math::constant<V>(0.5));
    return math::select(Wins()(of, other), g, rest);
  }
};

/// a where the condition holds, else b. Elements of any dtype.
struct Where {
  template <class Condition, class V>
  MASKGRAD_RULE V operator()(Condition condition, V a, V b) const {
    return math::select(condition, a, b);
  }
};

/// x where it is kept, else `fill`: exactly 0 unless told. Elements of any dtype that T converts
/// to.
template <class T = float>
struct KeepWhere {
  T fill{};
  template <class V, class Condition>
  MASKGRAD_RULE V operator()(V x, Condition keep) const {
    return math::select(keep, x, V(fill));
  }
};

/// `fill` where the condition holds, exactly 0 unless told, else x. Elements as for KeepWhere.
template <class T = float>
struct FillWhere {
  T fill{};
  template <class V, class Condition>
  MASKGRAD_RULE V operator()(V x, Condition filled) const {
    return math::select(filled, V(fill), x);
  }
};

/// factor x where it is kept, else exactly 0.
struct KeepScaled {
  Factor factor;
  template <class V, class Condition>
  MASKGRAD_RULE V operator()(V x, Condition keep) const {
    return math::select(keep, factor.times(x), math::constant<V>(0));
  }
};

}  // namespace maskgrad::ops::functors
