// The words that elementwise rules are written in, for one element (float, double) and for a vector
// of them (Vec<T>). Installed for ops/cuda/elements.hpp.
//
// V stands for either. Both give the same bits for the same element. That needs care: to x * y + z
// a compiler may give one rounding or two, and not the same everywhere. So rules say
// multiply_add(), and add nothing to a product unless that is exact, as one with a power of two is.
//
// Call these functions by their full name, math::select(): xsimd has some of the same name.
#pragma once

#include <limits>
#include <numbers>

#include <maskgrad/ops/functors/rule.hpp>
#include <maskgrad/ops/functors/scalar_words.hpp>
// A device computes one element at a time.
#ifndef __CUDACC__
#include <maskgrad/ops/cpu/vector/vector_words.hpp>
#endif

namespace maskgrad::ops::math {

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
MASKGRAD_RULE inline V upper_half(V x) {
  using T = Element<V>;
  constexpr int kDropped = (std::numeric_limits<T>::digits + 1) / 2;
  const auto bits = math::bits_of(x);
  return math::from_bits<V>(bits &
                            std::remove_const_t<decltype(bits)>(~((Bits<T>{1} << kDropped) - 1)));
}

/// 2^(n + more) for whole n, where that is a normal number.
template <class V>
MASKGRAD_RULE inline V two_to_the(V n, int more = 0) {
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
MASKGRAD_RULE inline Binary<V> binary(V x) {
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
MASKGRAD_RULE inline V rounded_product(V x, V factor) {
  const V shift(kShift<Element<V>>);
  return math::multiply_add(x, factor, shift) - shift;
}

/// y 2^n for whole numbers n, at most twice what two_to_the() takes: rounded once where the result
/// is denormal, infinite where it overflows. |y| is near 1.
template <class V>
MASKGRAD_RULE inline V scaled(V y, V n) {
  const V half = math::rounded_product(n, constant<V>(0.5));
  return y * math::two_to_the(half) * math::two_to_the(n - half);
}

}  // namespace maskgrad::ops::math
