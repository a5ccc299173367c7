// The words of functors/element.hpp for a vector of elements, Vec<T>. Internal to src/ops.
#pragma once

#include <maskgrad/ops/cpu/vector/vector.hpp>
#include <maskgrad/ops/functors/scalar_words.hpp>

namespace maskgrad::ops::math {

template <class T>
struct ElementOf<Vec<T>> {
  using Type = T;
};

template <class T>
[[gnu::always_inline]] inline Vec<T> select(const typename Vec<T>::batch_bool_type& which,
                                            const Vec<T>& yes, const Vec<T>& no) {
  return xsimd::select(which, yes, no);
}

template <class T>
[[gnu::always_inline]] inline bool any(const xsimd::batch_bool<T>& which) {
  return xsimd::any(which);
}
template <class T>
[[gnu::always_inline]] inline bool all(const xsimd::batch_bool<T>& which) {
  return xsimd::all(which);
}

template <class T>
[[gnu::always_inline]] inline Vec<T> at_most(const Vec<T>& x, const Vec<T>& limit) {
  return xsimd::min(limit, x);
}

template <class T>
[[gnu::always_inline]] inline Vec<T> at_least(const Vec<T>& x, const Vec<T>& limit) {
  return xsimd::max(limit, x);
}

template <class T>
[[gnu::always_inline]] inline Vec<T> abs(const Vec<T>& x) {
  return xsimd::abs(x);
}

template <class T>
[[gnu::always_inline]] inline Vec<T> copysign(const Vec<T>& x, const Vec<T>& sign) {
  return xsimd::copysign(x, sign);
}

// xsimd 8 takes x from 0, which gives 0 the wrong sign.
template <class T>
[[gnu::always_inline]] inline Vec<T> negative(const Vec<T>& x) {
  return Vec<T>(-x.data);
}

template <class T>
[[gnu::always_inline]] inline Vec<T> sqrt(const Vec<T>& x) {
  return xsimd::sqrt(x);
}

template <class T>
[[gnu::always_inline]] inline Vec<T> nearest(const Vec<T>& x) {
  return xsimd::nearbyint(x);
}

template <class T>
[[gnu::always_inline]] inline Vec<T> multiply_add(const Vec<T>& x, const Vec<T>& y,
                                                  const Vec<T>& z) {
  return ops::multiply_add(x, y, z);
}

template <class T>
[[gnu::always_inline]] inline xsimd::batch<Bits<T>> bits_of(const Vec<T>& x) {
  return xsimd::bitwise_cast<xsimd::batch<Bits<T>>>(x);
}
template <class V, class Integers>
requires(!std::floating_point<V>) [[gnu::always_inline]] inline V from_bits(const Integers& bits) {
  return xsimd::bitwise_cast<V>(bits);
}

/// Lane by lane: there is no vector function that is accurate enough.
template <class T>
[[gnu::always_inline]] inline Vec<T> pow(const Vec<T>& x, double p) {
  alignas(64) std::array<T, Vec<T>::size> lanes;
  x.store_aligned(lanes.data());
  for (T& lane : lanes) lane = math::pow(lane, p);
  return Vec<T>::load_aligned(lanes.data());
}
template <class T>
[[gnu::always_inline]] inline Vec<T> pow_gradient(const Vec<T>& x, const Vec<T>& g, double p) {
  alignas(64) std::array<T, Vec<T>::size> lanes, of_g;
  x.store_aligned(lanes.data());
  g.store_aligned(of_g.data());
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    lanes[i] = math::pow_gradient(lanes[i], of_g[i], p);
  }
  return Vec<T>::load_aligned(lanes.data());
}

#if XSIMD_WITH_AVX512F
[[gnu::always_inline]] inline Vec<float> scaled(const Vec<float>& y, const Vec<float>& n) {
  return Vec<float>(_mm512_scalef_ps(y, n));
}
[[gnu::always_inline]] inline Vec<double> scaled(const Vec<double>& y, const Vec<double>& n) {
  return Vec<double>(_mm512_scalef_pd(y, n));
}
#endif

}  // namespace maskgrad::ops::math
