// One step of one sequence of a recurrent network, forward and backward, for an element or a vector
// of them. Internal to src/ops.
//
// A cell has `kGates` gates of H elements, which come side by side, states of H elements, and keeps
// `kKept` values of H elements for its gradient. `lanes` loads and stores what is computed at once:
// a V, at element j of H.
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

// The slopes of a sigmoid and of a tanh whose value is y.
template <class V>
MASKGRAD_RULE inline V sigmoid_slope(V y) {
  return y * (math::constant<V>(1) - y);
}
template <class V>
MASKGRAD_RULE inline V tanh_slope(V y) {
  return math::multiply_add(math::negative(y), y, math::constant<V>(1));
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
  MASKGRAD_RULE static void forward(const Lanes& lanes, std::int64_t n, std::int64_t j,
                                    const CellForward<T, kStates>& f) {
    using V = typename Lanes::V;
    const auto sum = [&](int k) MASKGRAD_INLINE {
      const V x = lanes.load(f.gates + k * n + j);
      return f.product ? x + lanes.load(f.product + k * n + j) : x;
    };
    const V i = math::sigmoid(sum(0)), forget = math::sigmoid(sum(1)), g = functors::Tanh()(sum(2)),
            o = math::sigmoid(sum(3));
    const V c = math::multiply_add(forget, lanes.load(f.before[1] + j), i * g);
    const V of_c = functors::Tanh()(c), h = o * of_c;
    lanes.store(i, f.kept + j);
    lanes.store(forget, f.kept + n + j);
    lanes.store(g, f.kept + 2 * n + j);
    lanes.store(o, f.kept + 3 * n + j);
    lanes.store(of_c, f.kept + 4 * n + j);
    lanes.store(c, f.after[1] + j);
    lanes.store(h, f.after[0] + j);
    lanes.store(h, f.output + j);
  }

  template <class Lanes, class T>
  MASKGRAD_RULE static void backward(const Lanes& lanes, std::int64_t n, std::int64_t j,
                                     const CellBackward<T, kStates>& f) {
    using V = typename Lanes::V;
    const auto kept = [&](int k) MASKGRAD_INLINE { return lanes.load(f.kept + k * n + j); };
    const V i = kept(0), forget = kept(1), g = kept(2), o = kept(3), of_c = kept(4);
    V dh = lanes.load(f.states[0] + j);
    if (f.output) dh = dh + lanes.load(f.output + j);
    const V dc = math::multiply_add(dh * o, detail::tanh_slope(of_c), lanes.load(f.states[1] + j));
    const V d[kGates] = {dc * g * detail::sigmoid_slope(i),
                         dc * lanes.load(f.before[1] + j) * detail::sigmoid_slope(forget),
                         dc * i * detail::tanh_slope(g), dh * of_c * detail::sigmoid_slope(o)};
    lanes.store(dc * forget, f.states[1] + j);
    detail::unrolled<kGates>([&](auto k) MASKGRAD_INLINE {
      lanes.store(d[k], f.product + k * n + j);
      if (f.gates) lanes.store(d[k], f.gates + k * n + j);
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
  MASKGRAD_RULE static void forward(const Lanes& lanes, std::int64_t n, std::int64_t j,
                                    const CellForward<T, kStates>& f) {
    using V = typename Lanes::V;
    const auto of_state = [&](int k) MASKGRAD_INLINE {
      const V bias = lanes.load(f.bias + k * n + j);
      return f.product ? lanes.load(f.product + k * n + j) + bias : bias;
    };
    const auto gate = [&](int k) MASKGRAD_INLINE { return lanes.load(f.gates + k * n + j); };
    const V r = math::sigmoid(gate(0) + of_state(0)), z = math::sigmoid(gate(1) + of_state(1)),
            inner = of_state(2),
            candidate = functors::Tanh()(math::multiply_add(r, inner, gate(2)));
    const V h =
        math::multiply_add(z, lanes.load(f.before[0] + j), (math::constant<V>(1) - z) * candidate);
    lanes.store(r, f.kept + j);
    lanes.store(z, f.kept + n + j);
    lanes.store(candidate, f.kept + 2 * n + j);
    lanes.store(inner, f.kept + 3 * n + j);
    lanes.store(h, f.after[0] + j);
    lanes.store(h, f.output + j);
  }

  template <class Lanes, class T>
  MASKGRAD_RULE static void backward(const Lanes& lanes, std::int64_t n, std::int64_t j,
                                     const CellBackward<T, kStates>& f) {
    using V = typename Lanes::V;
    const auto kept = [&](int k) MASKGRAD_INLINE { return lanes.load(f.kept + k * n + j); };
    const V r = kept(0), z = kept(1), candidate = kept(2), inner = kept(3);
    V dh = lanes.load(f.states[0] + j);
    if (f.output) dh = dh + lanes.load(f.output + j);
    const V dn = dh * (math::constant<V>(1) - z) * detail::tanh_slope(candidate);
    const V dr = dn * inner * detail::sigmoid_slope(r);
    const V dz = dh * (lanes.load(f.before[0] + j) - candidate) * detail::sigmoid_slope(z);
    lanes.store(dh * z, f.states[0] + j);
    const auto store = [&](T* to, V last) MASKGRAD_INLINE {
      lanes.store(dr, to + j);
      lanes.store(dz, to + n + j);
      lanes.store(last, to + 2 * n + j);
    };
    store(f.product, dn * r);
    if (f.gates) store(f.gates, dn);
  }
};

}  // namespace maskgrad::ops
