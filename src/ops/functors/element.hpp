// The words that elementwise rules are written in, for one element (float, double) and for a vector
// of them (Vec<T>). Internal to src/ops.
//
// V stands for either. Both give the same bits for the same element. That needs care: to x * y + z
// a compiler may give one rounding or two, and not the same everywhere. So rules say
// multiply_add(), and add nothing to a product unless that is exact, as one with a power of two is.
//
// Call these functions by their full name, math::select(): xsimd has some of the same name.
#pragma once

#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <numbers>
#include <type_traits>

#include <maskgrad/ops/cpu/vector/vector.hpp>

namespace maskgrad::ops::math {

template <class V>
struct ElementOf {
  using Type = V;
};
template <class T>
struct ElementOf<Vec<T>> {
  using Type = T;
};
/// T for a Vec<T>, and for T itself.
template <class V>
using Element = typename ElementOf<V>::Type;

/// `value` in each lane, rounded to the element type.
template <class V>
[[gnu::always_inline]] inline V constant(double value) {
  return V(static_cast<Element<V>>(value));
}

/// yes where `which`, else no.
template <std::floating_point T>
[[gnu::always_inline]] inline T select(bool which, T yes, T no) {
  return which ? yes : no;
}
template <class T>
[[gnu::always_inline]] inline Vec<T> select(const typename Vec<T>::batch_bool_type& which,
                                            const Vec<T>& yes, const Vec<T>& no) {
  return xsimd::select(which, yes, no);
}

/// The smaller of the two; x where x is NaN.
template <std::floating_point T>
[[gnu::always_inline]] inline T at_most(T x, T limit) {
  return limit < x ? limit : x;
}
template <class T>
[[gnu::always_inline]] inline Vec<T> at_most(const Vec<T>& x, const Vec<T>& limit) {
  return xsimd::min(limit, x);
}

/// The larger of the two; x where x is NaN.
template <std::floating_point T>
[[gnu::always_inline]] inline T at_least(T x, T limit) {
  return x < limit ? limit : x;
}
template <class T>
[[gnu::always_inline]] inline Vec<T> at_least(const Vec<T>& x, const Vec<T>& limit) {
  return xsimd::max(limit, x);
}

template <std::floating_point T>
[[gnu::always_inline]] inline T abs(T x) {
  return std::abs(x);
}
template <class T>
[[gnu::always_inline]] inline Vec<T> abs(const Vec<T>& x) {
  return xsimd::abs(x);
}

/// |x| with the sign of `sign`.
template <std::floating_point T>
[[gnu::always_inline]] inline T copysign(T x, T sign) {
  return std::copysign(x, sign);
}
template <class T>
[[gnu::always_inline]] inline Vec<T> copysign(const Vec<T>& x, const Vec<T>& sign) {
  return xsimd::copysign(x, sign);
}

/// -x. xsimd 8 takes it from 0, which gives 0 the wrong sign.
template <std::floating_point T>
[[gnu::always_inline]] inline T negative(T x) {
  return -x;
}
template <class T>
[[gnu::always_inline]] inline Vec<T> negative(const Vec<T>& x) {
  return Vec<T>(-x.data);
}

template <std::floating_point T>
[[gnu::always_inline]] inline T sqrt(T x) {
  return std::sqrt(x);
}
template <class T>
[[gnu::always_inline]] inline Vec<T> sqrt(const Vec<T>& x) {
  return xsimd::sqrt(x);
}

// Whether the machine rounds x y + z once: both kinds of multiply_add() do, or neither.
#if XSIMD_WITH_AVX512F || XSIMD_WITH_FMA3_AVX2 || XSIMD_WITH_FMA3_AVX || XSIMD_WITH_FMA3_SSE || \
    XSIMD_WITH_FMA4 || XSIMD_WITH_NEON64
inline constexpr bool kFuses = true;
#else
inline constexpr bool kFuses = false;
#endif

/// x y + z
template <std::floating_point T>
[[gnu::always_inline]] inline T multiply_add(T x, T y, T z) {
  if constexpr (kFuses) {
    return std::fma(x, y, z);
  } else {
    return x * y + z;
  }
}
template <class T>
[[gnu::always_inline]] inline Vec<T> multiply_add(const Vec<T>& x, const Vec<T>& y,
                                                  const Vec<T>& z) {
  return ops::multiply_add(x, y, z);
}

/// An unsigned integer for each element, as wide as that.
template <class T>
using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
template <std::floating_point T>
[[gnu::always_inline]] inline Bits<T> bits_of(T x) {
  return std::bit_cast<Bits<T>>(x);
}
template <class T>
[[gnu::always_inline]] inline xsimd::batch<Bits<T>> bits_of(const Vec<T>& x) {
  return xsimd::bitwise_cast<xsimd::batch<Bits<T>>>(x);
}
/// The V that has these bits.
template <class V, class Integers>
[[gnu::always_inline]] inline V from_bits(const Integers& bits) {
  if constexpr (std::is_same_v<V, Element<V>>) {
    return std::bit_cast<V>(bits);
  } else {
    return xsimd::bitwise_cast<V>(bits);
  }
}

template <class T>
inline constexpr int kFractionBits = std::numeric_limits<T>::digits - 1;
template <class T>
inline constexpr int kBias = std::numeric_limits<T>::max_exponent - 1;
/// A whole number added to it is found in the lowest bits of the sum.
template <class T>
inline constexpr T kShift = static_cast<T>(Bits<T>{3} << (kFractionBits<T> - 1));

/// x with the lower half of its significant bits 0. What remains has 12 bits in float and 26 in
/// double, and so has half of the bits of a product.
template <class V>
[[gnu::always_inline]] inline V upper_half(V x) {
  using T = Element<V>;
  constexpr int kDropped = (std::numeric_limits<T>::digits + 1) / 2;
  const auto bits = math::bits_of(x);
  return math::from_bits<V>(bits &
                            std::remove_const_t<decltype(bits)>(~((Bits<T>{1} << kDropped) - 1)));
}

/// 2^(n + more) for whole n, where that is a normal number.
template <class V>
[[gnu::always_inline]] inline V two_to_the(V n, int more = 0) {
  using T = Element<V>;
  const V exponent = n + V(kShift<T> + static_cast<T>(kBias<T> + more));
  return math::from_bits<V>(math::bits_of(exponent) << kFractionBits<T>);
}

/// x = 2^exponent fraction for normal x > 0, the fraction from sqrt(1/2) to sqrt(2).
template <class V>
struct Binary {
  V exponent, fraction;
};
template <class V>
[[gnu::always_inline]] inline Binary<V> binary(V x) {
  using T = Element<V>;
  using Integers = decltype(math::bits_of(x));
  constexpr Bits<T> kRoot = std::bit_cast<Bits<T>>(static_cast<T>(std::numbers::sqrt2 / 2)),
                    kOne = std::bit_cast<Bits<T>>(T{1}),
                    kFraction = (Bits<T>{1} << kFractionBits<T>)-1;
  // The exponent grows by one at sqrt(1/2) instead of 1.
  const Integers moved = math::bits_of(x) + Integers(kOne - kRoot);
  const T shift = static_cast<T>(kFraction + 1);
  const V exponent =
      math::from_bits<V>((moved >> kFractionBits<T>) | Integers(std::bit_cast<Bits<T>>(shift)));
  return {exponent - V(shift + static_cast<T>(kBias<T>)),
          math::from_bits<V>((moved & Integers(kFraction)) + Integers(kRoot))};
}

/// x factor, less than 2^22, rounded to a whole number: of two that are as near to the even one.
template <class V>
[[gnu::always_inline]] inline V rounded_product(V x, V factor) {
  const V shift(kShift<Element<V>>);
  return math::multiply_add(x, factor, shift) - shift;
}

/// y 2^n for whole numbers n, at most twice what two_to_the() takes: rounded once where the result
/// is denormal, infinite where it overflows. |y| is near 1.
template <class V>
[[gnu::always_inline]] inline V scaled(V y, V n) {
  const V half = math::rounded_product(n, constant<V>(0.5));
  return y * math::two_to_the(half) * math::two_to_the(n - half);
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
