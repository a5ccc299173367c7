// One step of one sequence of a recurrent network, forward and backward. Internal to src/ops.
//
// A cell has `kGates` gates of H elements, which come side by side, states of H elements, and keeps
// `kKept` values of H elements for its gradient. Elements are computed in full vectors, tails too.
#pragma once

#include <array>
#include <cstdint>

#include <maskgrad/ops/cpu/vector/vector.hpp>
#include <maskgrad/ops/functors/rules.hpp>

namespace maskgrad::ops {

/// What a step reads of a sequence, and what it writes: each of H elements unless said.
template <class T, int kStates>
struct CellForward {
  const T* gates;                        // [kGates H]: what the input gives
  const T* product;                      // [kGates H]: before[0] times the matrix
  const T* bias;                         // [kGates H] of the product; nullptr: none
  std::array<const T*, kStates> before;  // states; the first is h
  std::array<T*, kStates> after;         // may be `before`
  T* output;                             // h once more
  T* kept;                               // [kKept H]
};
/// The same backward. `output` is the gradient of h as an output, nullptr: none. `states` are
/// the gradients of the states after the step. They become those of the states before it, without
/// the part that goes through the product.
template <class T, int kStates>
struct CellBackward {
  const T* output;
  const T* kept;
  std::array<const T*, kStates> before;
  std::array<T*, kStates> states;
  T* product;  // [kGates H], as all gates below
  T* gates;    // nullptr: not wanted
};

namespace detail {

// Loads and stores of a whole vector, or of its first elements.
template <class T>
struct WholeLanes {
  Vec<T> load(const T* from) const { return Vec<T>::load_unaligned(from); }
  void store(const Vec<T>& x, T* to) const { x.store_unaligned(to); }
};
template <class T>
struct FirstLanes {
  std::int64_t count;
  Vec<T> load(const T* from) const { return load_first(from, count); }
  void store(const Vec<T>& x, T* to) const { store_first(x, to, count); }
};

// Calls f(lanes, j) for all elements j of a row, a vector of them at a time.
template <class T, class F>
void for_each_lanes(std::int64_t n, F f) {
  std::int64_t j = 0;
  for (; j + kLanes<T> <= n; j += kLanes<T>) f(WholeLanes<T>(), j);
  if (j < n) f(FirstLanes<T>{n - j}, j);
}

template <class T>
[[gnu::always_inline]] inline Vec<T> tanh(const Vec<T>& x) {
  return functors::Tanh()(x);
}
// The slopes of a sigmoid and of a tanh whose value is y.
template <class T>
[[gnu::always_inline]] inline Vec<T> sigmoid_slope(const Vec<T>& y) {
  return y * (Vec<T>(1) - y);
}
template <class T>
[[gnu::always_inline]] inline Vec<T> tanh_slope(const Vec<T>& y) {
  return multiply_add(-y, y, Vec<T>(1));
}

}  // namespace detail

/// i, f, o = sigmoid, g = tanh of the gates i, f, g, o; c' = f c + i g; h' = o tanh(c').
/// Keeps i, f, g, o and tanh(c').
struct LstmCell {
  static constexpr int kGates = 4, kStates = 2, kKept = 5;
  // All of the gradient of h goes through the product.
  static constexpr bool kCarriesH = false;

  template <class T>
  static void forward(std::int64_t n, const CellForward<T, kStates>& f) {
    detail::for_each_lanes<T>(n, [&](auto lanes, std::int64_t j) MASKGRAD_INLINE {
      const auto sum = [&](int k) MASKGRAD_INLINE {
        const Vec<T> x = lanes.load(f.gates + k * n + j);
        return f.product ? x + lanes.load(f.product + k * n + j) : x;
      };
      const Vec<T> i = math::sigmoid(sum(0)), forget = math::sigmoid(sum(1)),
                   g = detail::tanh(sum(2)), o = math::sigmoid(sum(3));
      const Vec<T> c = multiply_add(forget, lanes.load(f.before[1] + j), i * g);
      const Vec<T> of_c = detail::tanh(c), h = o * of_c;
      lanes.store(i, f.kept + j);
      lanes.store(forget, f.kept + n + j);
      lanes.store(g, f.kept + 2 * n + j);
      lanes.store(o, f.kept + 3 * n + j);
      lanes.store(of_c, f.kept + 4 * n + j);
      lanes.store(c, f.after[1] + j);
      lanes.store(h, f.after[0] + j);
      lanes.store(h, f.output + j);
    });
  }

  template <class T>
  static void backward(std::int64_t n, const CellBackward<T, kStates>& f) {
    detail::for_each_lanes<T>(n, [&](auto lanes, std::int64_t j) MASKGRAD_INLINE {
      const auto kept = [&](int k) MASKGRAD_INLINE { return lanes.load(f.kept + k * n + j); };
      const Vec<T> i = kept(0), forget = kept(1), g = kept(2), o = kept(3), of_c = kept(4);
      Vec<T> dh = lanes.load(f.states[0] + j);
      if (f.output) dh += lanes.load(f.output + j);
      const Vec<T> dc = multiply_add(dh * o, detail::tanh_slope(of_c), lanes.load(f.states[1] + j));
      const std::array<Vec<T>, kGates> d = {
          dc * g * detail::sigmoid_slope(i),
          dc * lanes.load(f.before[1] + j) * detail::sigmoid_slope(forget),
          dc * i * detail::tanh_slope(g), dh * of_c * detail::sigmoid_slope(o)};
      lanes.store(dc * forget, f.states[1] + j);
      detail::unrolled<kGates>([&](auto k) MASKGRAD_INLINE {
        lanes.store(d[k], f.product + k * n + j);
        if (f.gates) lanes.store(d[k], f.gates + k * n + j);
      });
    });
  }
};

/// r, z = sigmoid of the gates r, z and the product with its bias; n = tanh(gate n + r (product n +
/// bias n)); h' = (1 - z) n + z h. Keeps r, z, n and (product n + bias n).
struct GruCell {
  static constexpr int kGates = 3, kStates = 1, kKept = 4;
  static constexpr bool kCarriesH = true;

  template <class T>
  static void forward(std::int64_t n, const CellForward<T, kStates>& f) {
    detail::for_each_lanes<T>(n, [&](auto lanes, std::int64_t j) MASKGRAD_INLINE {
      const auto of_state = [&](int k) MASKGRAD_INLINE {
        const Vec<T> bias = lanes.load(f.bias + k * n + j);
        return f.product ? lanes.load(f.product + k * n + j) + bias : bias;
      };
      const auto gate = [&](int k) MASKGRAD_INLINE { return lanes.load(f.gates + k * n + j); };
      const Vec<T> r = math::sigmoid(gate(0) + of_state(0)),
                   z = math::sigmoid(gate(1) + of_state(1)), inner = of_state(2),
                   candidate = detail::tanh(multiply_add(r, inner, gate(2)));
      const Vec<T> h = multiply_add(z, lanes.load(f.before[0] + j), (Vec<T>(1) - z) * candidate);
      lanes.store(r, f.kept + j);
      lanes.store(z, f.kept + n + j);
      lanes.store(candidate, f.kept + 2 * n + j);
      lanes.store(inner, f.kept + 3 * n + j);
      lanes.store(h, f.after[0] + j);
      lanes.store(h, f.output + j);
    });
  }

  template <class T>
  static void backward(std::int64_t n, const CellBackward<T, kStates>& f) {
    detail::for_each_lanes<T>(n, [&](auto lanes, std::int64_t j) MASKGRAD_INLINE {
      const auto kept = [&](int k) MASKGRAD_INLINE { return lanes.load(f.kept + k * n + j); };
      const Vec<T> r = kept(0), z = kept(1), candidate = kept(2), inner = kept(3);
      Vec<T> dh = lanes.load(f.states[0] + j);
      if (f.output) dh += lanes.load(f.output + j);
      const Vec<T> dn = dh * (Vec<T>(1) - z) * detail::tanh_slope(candidate);
      const Vec<T> dr = dn * inner * detail::sigmoid_slope(r);
      const Vec<T> dz = dh * (lanes.load(f.before[0] + j) - candidate) * detail::sigmoid_slope(z);
      lanes.store(dh * z, f.states[0] + j);
      const auto store = [&](T* to, const Vec<T>& last) MASKGRAD_INLINE {
        lanes.store(dr, to + j);
        lanes.store(dz, to + n + j);
        lanes.store(last, to + 2 * n + j);
      };
      store(f.product, dn * r);
      if (f.gates) store(f.gates, dn);
    });
  }
};

}  // namespace maskgrad::ops
