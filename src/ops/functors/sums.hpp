// Sums and products whose rounding errors are known. Installed for ops/cuda/elements.hpp.
#pragma once

#include <array>
#include <cstddef>

#include <maskgrad/ops/functors/element.hpp>
#include <maskgrad/ops/functors/polynomials.hpp>
#include <maskgrad/ops/functors/rule.hpp>
#include <maskgrad/ops/functors/unrolled.hpp>

namespace maskgrad::ops::math {

/// hi + lo, lo being about as small as the rounding of hi.
template <class V>
struct Pair {
  V hi, lo;
};

/// large + small without error, for |large| >= |small|.
template <class V>
MASKGRAD_RULE inline Pair<V> fast_sum(V large, V small) {
  const V sum = large + small;
  return {sum, small - (sum - large)};
}

/// x + y without error.
template <class V>
MASKGRAD_RULE inline Pair<V> sum(V x, V y) {
  const V sum = x + y, of_y = sum - x;
  return {sum, (x - (sum - of_y)) + (y - of_y)};
}

/// x + y, nearly to twice the digits of V.
template <class V>
MASKGRAD_RULE inline Pair<V> sum(const Pair<V>& x, const Pair<V>& y) {
  const auto high = math::sum(x.hi, y.hi);
  return {high.hi, high.lo + (x.lo + y.lo)};
}

/// x y - p without error, p being x y rounded.
template <class V>
MASKGRAD_RULE inline V product_error(V x, V y, V p) {
  if constexpr (kFuses) {
    return math::multiply_add(x, y, math::negative(p));
  } else {
    const V a = math::upper_half(x), b = math::upper_half(y), c = x - a, d = y - b;
    return ((a * b - p) + a * d + c * b) + c * d;
  }
}

/// c x, nearly to twice the digits of V.
template <class V, class T>
MASKGRAD_RULE inline Pair<V> times_split(const Split<T>& c, const Pair<V>& x) {
  const V high(c.high), p = high * x.hi;
  const V low = math::multiply_add(V(c.low), x.hi, math::product_error(high, x.hi, p));
  return {p, math::multiply_add(high, x.lo, low)};
}

/// x y + z, nearly rounded once on every machine.
template <class V>
MASKGRAD_RULE inline V fused_multiply_add(V x, V y, V z) {
  if constexpr (kFuses) {
    return math::multiply_add(x, y, z);
  } else {
    const V p = x * y;
    const auto total = math::sum(p, z);
    return total.hi + (total.lo + math::product_error(x, y, p));
  }
}

/// x y + z, its rounding kept apart; for |z| >= |x y|, and a sum that is not much smaller than z.
template <class V>
MASKGRAD_RULE inline Pair<V> product_sum(V x, V y, V z) {
  if constexpr (kFuses) {
    const V sum = math::multiply_add(x, y, z);
    return {sum, math::multiply_add(x, y, z - sum)};
  } else {
    const V p = x * y, sum = z + p;
    return {sum, (p - (sum - z)) + math::product_error(x, y, p)};
  }
}

/// c_first + c_(first + 1) x + c_(first + 2) x^2 + ...
template <std::size_t first = 0, class V, class T, std::size_t n>
MASKGRAD_RULE inline V polynomial(const std::array<T, n>& terms, V x) {
  V y(terms[n - 1]);
  detail::unrolled<static_cast<int>(n - 1 - first)>([&](auto i) MASKGRAD_INLINE {
    y = math::multiply_add(y, x, V(terms[n - 2 - static_cast<std::size_t>(i)]));
  });
  return y;
}

/// The whole polynomial, its last rounding kept apart; for |c_0| >= |c_1 x + ...|.
template <class V, class T, std::size_t n>
MASKGRAD_RULE inline Pair<V> polynomial_sum(const Polynomial<T, n>& p, V x) {
  const auto sum = math::product_sum(math::polynomial<1>(p.terms, x), x, V(p.terms[0]));
  return {sum.hi, sum.lo + V(p.rest)};
}

}  // namespace maskgrad::ops::math
