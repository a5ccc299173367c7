// The words of element.hpp for one element. Installed for ops/cuda/elements.hpp.
#pragma once

#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <type_traits>

#include <maskgrad/ops/functors/pow_gradient.hpp>
#include <maskgrad/ops/functors/rule.hpp>

namespace maskgrad::ops::math {

template <class V>
struct ElementOf {
  using Type = V;
};
/// T for a Vec<T>, and for T itself.
template <class V>
using Element = typename ElementOf<V>::Type;

/// An element of any dtype.
template <class T>
concept Arithmetic = std::is_arithmetic_v<T>;

/// `value` in each lane, rounded to the element type.
template <class V>
MASKGRAD_RULE inline V constant(double value) {
  return V(static_cast<Element<V>>(value));
}

/// yes where `which`, else no.
template <Arithmetic T>
MASKGRAD_RULE inline T select(bool which, T yes, T no) {
  return which ? yes : no;
}

/// Whether some element of a vector, or each, is one of `which`.
MASKGRAD_RULE inline bool any(bool which) { return which; }
MASKGRAD_RULE inline bool all(bool which) { return which; }

/// The smaller of the two; x where x is NaN.
template <std::floating_point T>
MASKGRAD_RULE inline T at_most(T x, T limit) {
  return limit < x ? limit : x;
}

/// The larger of the two; x where x is NaN.
template <std::floating_point T>
MASKGRAD_RULE inline T at_least(T x, T limit) {
  return x < limit ? limit : x;
}

template <std::floating_point T>
MASKGRAD_RULE inline T abs(T x) {
  return std::abs(x);
}

/// |x| with the sign of `sign`.
template <std::floating_point T>
MASKGRAD_RULE inline T copysign(T x, T sign) {
  return std::copysign(x, sign);
}

/// -x, of 0 too
template <std::floating_point T>
MASKGRAD_RULE inline T negative(T x) {
  return -x;
}

template <std::floating_point T>
MASKGRAD_RULE inline T sqrt(T x) {
  return std::sqrt(x);
}

/// The whole number nearest to x; of two that are as near, the even one.
template <std::floating_point T>
MASKGRAD_RULE inline T nearest(T x) {
  return std::nearbyint(x);
}

/// x^p, rounded once more than that in double at most.
template <std::floating_point T>
MASKGRAD_RULE inline T pow(T x, double p) {
  return static_cast<T>(std::pow(static_cast<double>(x), p));
}

/// Whether the machine rounds x y + z once: both kinds of multiply_add() do, or neither.
#if defined(__FMA__) || defined(__FMA4__) || defined(__AVX512F__) || defined(__ARM_FEATURE_FMA) || \
    defined(__CUDACC__)
inline constexpr bool kFuses = true;
#else
inline constexpr bool kFuses = false;
#endif

/// x y + z
template <std::floating_point T>
MASKGRAD_RULE inline T multiply_add(T x, T y, T z) {
  if constexpr (kFuses) {
    return std::fma(x, y, z);
  } else {
    return x * y + z;
  }
}

/// An unsigned integer for each element, as wide as that.
template <class T>
using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
template <std::floating_point T>
MASKGRAD_RULE inline Bits<T> bits_of(T x) {
  return std::bit_cast<Bits<T>>(x);
}
/// The V that has these bits.
template <std::floating_point V>
MASKGRAD_RULE inline V from_bits(Bits<V> bits) {
  return std::bit_cast<V>(bits);
}

}  // namespace maskgrad::ops::math
