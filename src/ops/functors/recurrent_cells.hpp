// One step of one sequence of a recurrent network, forward and backward, for an element or a vector
// of them. Internal to src/ops.
//
// A cell has `kGates` gates of H elements, which come side by side, states of H elements, and keeps
// `kKept` values of H elements for its gradient. Lanes load and store what is computed at once, a
// V.
#pragma once

#include <cstdint>

#include <maskgrad/ops/functors/rules.hpp>
#include <maskgrad/ops/functors/unrolled.hpp>

namespace maskgrad::ops {

/// What a step reads of a sequence, and what it writes: each of H elements unless said.
template <class T, int kStates>
struct CellForward {
  const T* gates;            // [kGates H]: what the input gives
  const T* product;          // [kGates H]: before[0] times the matrix; nullptr: before[0] is 0
  const T* bias;             // [kGates H] of the product; nullptr: none
  const T* before[kStates];  // states; the first is h
  T* after[kStates];         // may be `before`
  T* output;                 // h once more
  T* kept;                   // [kKept H]
};
/// The same backward. `output` is the gradient of h as an output, nullptr: none. `states` are
/// the gradients of the states after the step. They become those of the states before it, without
/// the part that goes through the product.
template <class T, int kStates>
struct CellBackward {
  const T* output;
  const T* kept;
  const T* before[kStates];
  T* states[kStates];
  T* product;  // [kGates H], as all gates below
  T* gates;    // nullptr: not wanted
};

namespace detail {

// The elements from j on, of each of several parts of n, as many as the lanes have.
template <class Lanes>
struct AtElement {
  using V = typename Lanes::V;
  const Lanes& lanes;
  std::int64_t n, j;

  template <class T>
  MASKGRAD_RULE V load(const T* from, int part = 0) const {
    return lanes.load(from + part * n + j);
  }
  template <class T>
  MASKGRAD_RULE void store(const V& x, T* to, int part = 0) const {
    lanes.store(x, to + part * n + j);
  }
};

// The slopes of a sigmoid and of a tanh whose value is y.
template <class V>
MASKGRAD_RULE inline V slope_of_sigmoid(V y) {
  return y * (math::constant<V>(1) - y);
}
template <class V>
MASKGRAD_RULE inline V slope_of_tanh(V y) {
  return math::multiply_add(math::negative(y), y, math::constant<V>(1));
}

// What arrives for h, from the steps behind and as an output.
template <class Lanes, class Backward>
MASKGRAD_RULE inline typename Lanes::V gradient_of_h(const AtElement<Lanes>& at,
                                                     const Backward& f) {
  const auto dh = at.load(f.states[0]);
  return f.output ? dh + at.load(f.output) : dh;
}

}  // namespace detail

/// i, f, o = sigmoid, g = tanh of the gates i, f, g, o; c' = f c + i g; h' = o tanh(c').
/// Keeps i, f, g, o and tanh(c').
struct LstmCell {
  static constexpr const char* kName = "lstm";
  static constexpr int kGates = 4, kStates = 2, kKept = 5;
  // All of the gradient of h goes through the product.
  static constexpr bool kCarriesH = false;

  template <class Lanes, class T>
  MASKGRAD_RULE static void forward(const detail::AtElement<Lanes>& at,
                                    const CellForward<T, kStates>& f) {
    using V = typename Lanes::V;
    const auto sum = [&](int k) MASKGRAD_INLINE {
      const V x = at.load(f.gates, k);
      return f.product ? x + at.load(f.product, k) : x;
    };
    const V i = math::sigmoid(sum(0)), forget = math::sigmoid(sum(1)), g = functors::Tanh()(sum(2)),
            o = math::sigmoid(sum(3));
    const V c = math::multiply_add(forget, at.load(f.before[1]), i * g);
    const V of_c = functors::Tanh()(c), h = o * of_c;
    at.store(i, f.kept);
    at.store(forget, f.kept, 1);
    at.store(g, f.kept, 2);
    at.store(o, f.kept, 3);
    at.store(of_c, f.kept, 4);
    at.store(c, f.after[1]);
    at.store(h, f.after[0]);
    at.store(h, f.output);
  }

  template <class Lanes, class T>
  MASKGRAD_RULE static void backward(const detail::AtElement<Lanes>& at,
                                     const CellBackward<T, kStates>& f) {
    using V = typename Lanes::V;
    const V i = at.load(f.kept), forget = at.load(f.kept, 1), g = at.load(f.kept, 2),
            o = at.load(f.kept, 3), of_c = at.load(f.kept, 4);
    const V dh = detail::gradient_of_h(at, f);
    const V dc = math::multiply_add(dh * o, detail::slope_of_tanh(of_c), at.load(f.states[1]));
    const V d[kGates] = {dc * g * detail::slope_of_sigmoid(i),
                         dc * at.load(f.before[1]) * detail::slope_of_sigmoid(forget),
                         dc * i * detail::slope_of_tanh(g),
                         dh * of_c * detail::slope_of_sigmoid(o)};
    at.store(dc * forget, f.states[1]);
    detail::unrolled<kGates>([&](auto k) MASKGRAD_INLINE {
      at.store(d[k], f.product, k);
      if (f.gates) at.store(d[k], f.gates, k);
    });
  }
};

/// r, z = sigmoid of the gates r, z and the product with its bias; n = tanh(gate n + r (product n +
/// bias n)); h' = (1 - z) n + z h. Keeps r, z, n and (product n + bias n).
struct GruCell {
  static constexpr const char* kName = "gru";
  static constexpr int kGates = 3, kStates = 1, kKept = 4;
  static constexpr bool kCarriesH = true;

  template <class Lanes, class T>
  MASKGRAD_RULE static void forward(const detail::AtElement<Lanes>& at,
                                    const CellForward<T, kStates>& f) {
    using V = typename Lanes::V;
    const auto of_state = [&](int k) MASKGRAD_INLINE {
      const V bias = at.load(f.bias, k);
      return f.product ? at.load(f.product, k) + bias : bias;
    };
    const V r = math::sigmoid(at.load(f.gates) + of_state(0)),
            z = math::sigmoid(at.load(f.gates, 1) + of_state(1)), inner = of_state(2),
            candidate = functors::Tanh()(math::multiply_add(r, inner, at.load(f.gates, 2)));
    const V h = math::multiply_add(z, at.load(f.before[0]), (math::constant<V>(1) - z) * candidate);
    at.store(r, f.kept);
    at.store(z, f.kept, 1);
    at.store(candidate, f.kept, 2);
    at.store(inner, f.kept, 3);
    at.store(h, f.after[0]);
    at.store(h, f.output);
  }

  template <class Lanes, class T>
  MASKGRAD_RULE static void backward(const detail::AtElement<Lanes>& at,
                                     const CellBackward<T, kStates>& f) {
    using V = typename Lanes::V;
    const V r = at.load(f.kept), z = at.load(f.kept, 1), candidate = at.load(f.kept, 2),
            inner = at.load(f.kept, 3);
    const V dh = detail::gradient_of_h(at, f);
    const V dn = dh * (math::constant<V>(1) - z) * detail::slope_of_tanh(candidate);
    const V dr = dn * inner * detail::slope_of_sigmoid(r);
    const V dz = dh * (at.load(f.before[0]) - candidate) * detail::slope_of_sigmoid(z);
    at.store(dh * z, f.states[0]);
    const auto store = [&](T* to, V last) MASKGRAD_INLINE {
      at.store(dr, to);
      at.store(dz, to, 1);
      at.store(last, to, 2);
    };
    store(f.product, dn * r);
    if (f.gates) store(f.gates, dn);
  }
};

}  // namespace maskgrad::ops
