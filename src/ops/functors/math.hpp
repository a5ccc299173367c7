// exp and what activations are made of, for one element or a vector of them. Installed for
// ops/cuda/elements.hpp.
//
// Results are within 2 units in the last place, and slopes within 3, in float and in double,
// denormal ones included, unless the thread flushes those to 0. NaN gives NaN.
//
// Several are functions of z >= 0 that fall to 0, called tails. The other side of an activation
// follows from its tail: f(z) = z + f(-z) and f'(z) = 1 - f'(-z) for softplus, silu and both kinds
// of gelu.
#pragma once

#include <limits>
#include <numbers>
#include <type_traits>

#include <maskgrad/ops/functors/rule.hpp>
#include <maskgrad/ops/functors/sums.hpp>

namespace maskgrad::ops::math {

/// The largest |x| for exp(): e^-x is 0 there, and e^x is infinite.
template <class T>
inline constexpr double kExpLimit = std::is_same_v<T, float> ? 112 : 760;

/// x = n log 2 + r, n whole and |r| <= log(2) / 2.
template <class V>
struct Reduced {
  V n, r;
};
template <class V>
MASKGRAD_RULE inline Reduced<V> reduced(V x) {
  using T = Element<V>;
  const V n = math::rounded_product(x, constant<V>(std::numbers::log2e));
  const V r = math::multiply_add(n, V(-kLog2<T>.high), x);
  return {n, math::multiply_add(n, V(-kLog2<T>.low), r)};
}
template <class V>
MASKGRAD_RULE inline Reduced<V> reduced(const Pair<V>& x) {
  using T = Element<V>;
  const V n = math::rounded_product(x.hi, constant<V>(std::numbers::log2e));
  const V r = math::multiply_add(n, V(-kLog2<T>.high), x.hi);
  return {n, r + math::multiply_add(n, V(-kLog2<T>.low), x.lo)};
}

/// e^x = 2^n (1 + q), x being reduced; 1 + q from 0.7 to 1.42.
template <class V>
struct Exponential {
  V n, q;
};
template <class V>
MASKGRAD_RULE inline Exponential<V> exponential(const Reduced<V>& x) {
  const V terms = math::polynomial(kExpTerms<Element<V>>.terms, x.r);
  return {x.n, math::multiply_add(x.r * x.r, terms, x.r)};
}
template <class V>
MASKGRAD_RULE inline Exponential<V> exponential(V x) {
  return math::exponential(math::reduced(x));
}

/// e^x
template <class V>
MASKGRAD_RULE inline V exp(V x) {
  const V limit = constant<V>(kExpLimit<Element<V>>);
  const auto e = math::exponential(math::at_most(math::at_least(x, math::negative(limit)), limit));
  return math::scaled(constant<V>(1) + e.q, e.n);
}

/// Natural logarithm. With x = 2^k m, f = m - 1 and s = f / (2 + f):
/// log x = k log 2 + f - s (f - s^2 p(s^2)), p being kLogTerms.
template <class V>
MASKGRAD_RULE inline V log(V x) {
  using T = Element<V>;
  constexpr T kInfinity = std::numeric_limits<T>::infinity();
  constexpr int kDigits = std::numeric_limits<T>::digits;
  const V zero = constant<V>(0);
  const auto is_denormal = x < V(std::numeric_limits<T>::min());
  const V scale = math::two_to_the(zero, kDigits);
  const auto [exponent, fraction] = math::binary(math::select(is_denormal, x * scale, x));
  const V k = exponent - math::select(is_denormal, constant<V>(kDigits), zero);
  const V f = fraction - constant<V>(1), s = f / (constant<V>(2) + f), square = s * s;
  const V rest =
      math::multiply_add(math::negative(square), math::polynomial(kLogTerms<T>.terms, square), f);
  const V less = math::multiply_add(s, rest, k * V(-kLog2<T>.low));
  const V y = math::multiply_add(k, V(kLog2<T>.high), f - less);
  const V of_others =
      math::select(x == zero, V(-kInfinity), V(std::numeric_limits<T>::quiet_NaN()));
  return math::select(x > zero, math::select(x < V(kInfinity), y, x), of_others);
}

/// 2^more (1 + e^x), nearly rounded once. Requires 2^more e^x to be a normal number.
template <class V>
MASKGRAD_RULE inline V one_plus_exp(const Exponential<V>& e, int more = 0) {
  const V power = math::two_to_the(e.n, more), one = math::two_to_the(constant<V>(0), more);
  const auto sum = math::fast_sum(power, one);
  return sum.hi + math::multiply_add(power, e.q, sum.lo);
}
template <class V>
MASKGRAD_RULE inline V one_plus_exp(V x, int more = 0) {
  return math::one_plus_exp(math::exponential(x), more);
}

/// e^-x - 1 for x >= 0, its rounding kept apart.
template <class V>
MASKGRAD_RULE inline Pair<V> expm1_of_minus(V x) {
  constexpr double kMost = 40;  // -1 from there on
  const auto e = math::exponential(math::negative(math::at_most(x, constant<V>(kMost))));
  const V power = math::two_to_the(e.n);
  return math::product_sum(power, e.q, power - constant<V>(1));
}

/// tanh z for z >= 0: z + z^3 f(z^2) near 0, f being kTanhTerms, and 1 - 2 / (1 + e^2z) beyond.
template <class V>
MASKGRAD_RULE inline V tanh_of_positive(V z) {
  const V square = z * z, one = constant<V>(1);
  const V near =
      math::multiply_add(square * z, math::polynomial(kTanhTerms<Element<V>>.terms, square), z);
  const V d = math::one_plus_exp(math::at_most(z + z, constant<V>(40)));  // 1 from there on
  return math::select(z < constant<V>(0.55), near, one - constant<V>(2) / d);
}

/// 1 / (1 + e^-x)
template <class V>
MASKGRAD_RULE inline V sigmoid(V x) {
  using T = Element<V>;
  // Below kLeast it is 0, above kMost 1. The power of two keeps e^-x from overflowing.
  constexpr double kLeast = std::is_same_v<T, float> ? -104.3 : -745.2, kMost = 40;
  constexpr int kMore = -std::numeric_limits<T>::digits;
  const V y = math::at_most(math::at_least(x, constant<V>(kLeast)), constant<V>(kMost));
  return math::two_to_the(constant<V>(0), kMore) / math::one_plus_exp(math::negative(y), kMore);
}

/// times sigmoid'(z) = times t / (1 + t)^2 with t = e^-z, for z >= 0; `times` is a power of two.
template <class V>
MASKGRAD_RULE inline V sigmoid_slope(V z, double times = 1) {
  const auto e = math::exponential(math::negative(z));
  const V many = constant<V>(times);
  const V many_t = math::scaled(math::multiply_add(many, e.q, many), e.n);
  const V t = constant<V>(1 / times) * many_t;
  return many_t / math::multiply_add(t, constant<V>(2) + t, constant<V>(1));
}

/// softplus(-z) = log(1 + e^-z)
template <class V>
MASKGRAD_RULE inline V softplus_tail(V z) {
  const auto e = math::exponential(math::negative(z));
  const V t = math::scaled(constant<V>(1) + e.q, e.n);
  const auto f = math::polynomial_sum(kLog1pTerms<Element<V>>, t);
  return math::scaled(f.hi + math::multiply_add(f.hi, e.q, f.lo), e.n);
}

/// From this z on the two below are 0. The power of two keeps 1 + e^z from overflowing.
template <class T>
inline constexpr double kSiluLimit = std::is_same_v<T, float> ? 110 : 752;
template <class T>
inline constexpr int kSiluPower = std::is_same_v<T, float> ? -32 : -62;

/// start + silu(-z), silu(-z) = -z / (1 + e^z)
template <class V>
MASKGRAD_RULE inline V add_silu_tail(V start, V z) {
  using T = Element<V>;
  const V y = math::at_most(z, constant<V>(kSiluLimit<T>));
  const V power = math::two_to_the(constant<V>(0), kSiluPower<T>);
  return math::multiply_add(y / math::one_plus_exp(y, kSiluPower<T>), math::negative(power), start);
}

/// silu'(-z) = (1 - z sigmoid(z)) / (1 + e^z). Near its root z0 the numerator is x + x^2 f(x) with
/// x = z0 - z, f being kSiluSlopeTerms.
template <class V>
MASKGRAD_RULE inline V silu_slope_tail(V z) {
  using T = Element<V>;
  const V y = math::at_most(z, constant<V>(kSiluLimit<T>)), one = constant<V>(1);
  const V power = math::two_to_the(constant<V>(0), kSiluPower<T>);
  const V d = math::one_plus_exp(y, kSiluPower<T>);
  const V far = math::multiply_add(y, power / d, one - y);
  const V x = V(kSiluRoot<T>.high) - y;
  const V terms = math::polynomial(kSiluSlopeTerms<T>.terms, x);
  const V near = x + math::multiply_add(x * x, terms, V(kSiluRoot<T>.low));
  return math::select(math::abs(x) < constant<V>(0.6), near, far) / d * power;
}

/// From this z on, the most that they take, the two below are 0.
template <class T>
inline constexpr double kGeluLimit = std::is_same_v<T, float> ? 14.9 : 38.9;

/// -z^2 / 2
template <class V>
MASKGRAD_RULE inline Reduced<V> minus_half_square(V z) {
  const V half = constant<V>(-0.5) * z, y = half * z;
  return math::reduced(Pair<V>{y, math::product_error(half, z, y)});
}

/// c (1 + x) e^r for small r and x, as a sum.
template <class V, class T>
MASKGRAD_RULE inline Pair<V> times_exp(const Split<T>& c, V x, V r) {
  // e^r = 1 + r + terms, and (1 + x) e^r = 1 + r + more.
  const V square = r * r, p = math::polynomial(kExpTerms<T>.terms, r), terms = square * p;
  const V exp = constant<V>(1) + math::multiply_add(square, p, r);
  const V more = math::multiply_add(x, exp, terms), high(c.high);
  return math::fast_sum(high,
                        math::multiply_add(high, r, math::multiply_add(high, more, V(c.low))));
}

/// start + gelu(-z), gelu(-z) = -z Phi(-z), where start is 0 or z.
///
/// For z < 1, Phi(-z) = 1/2 - z f(z^2), f being kGeluTerms. Beyond, with a and b of kGeluRatio,
/// z Phi(-z) = phi(z) z b / (z b + a). The fraction lies between 0.65 and 1. It is computed as
/// (1 + c) / (1 + 7 / 32) because c is small, and so is the error of c.
template <class V>
MASKGRAD_RULE inline V add_gelu_tail(V start, V z) {
  using T = Element<V>;
  const V square = z * z;
  const auto f = math::polynomial_sum(kGeluTerms<T>, square);
  const V half = math::fused_multiply_add(math::negative(z), f.hi, constant<V>(0.5));
  const V near =
      math::fused_multiply_add(math::negative(z), half, math::multiply_add(square, f.lo, start));

  const V a = math::polynomial(kGeluRatio<T>.upper, z);
  const V b = math::polynomial(kGeluRatio<T>.lower, z);
  const V c = math::multiply_add(z * b, constant<V>(7.0 / 32), math::negative(a)) /
              math::multiply_add(z, b, a);
  const auto e = math::minus_half_square(z);
  const auto far = math::times_exp(kGeluFactor<T>, c, e.r);
  return math::select(z < constant<V>(1), near, start - math::scaled(far.hi, e.n));
}

/// erf x = 1 - 2 Phi(-z) for x >= 0, where z = sqrt(2) x. For z < 1 it is 2 z f(z^2), f being
/// kGeluTerms.
template <class V>
MASKGRAD_RULE inline V erf_of_positive(V x) {
  using T = Element<V>;
  const auto z = math::times_split(kRootOfTwo<T>, Pair<V>{x, constant<V>(0)});
  const auto f = math::polynomial_sum(kGeluTerms<T>, z.hi * z.hi);
  const V low = math::multiply_add(z.lo, f.hi, z.hi * f.lo);
  const V near = constant<V>(2) * math::multiply_add(z.hi, f.hi, low);
  const V most = math::at_most(z.hi, constant<V>(kGeluLimit<T>));
  const V far =
      constant<V>(1) + constant<V>(2) * (math::add_gelu_tail(constant<V>(0), most) / most);
  return math::select(z.hi < constant<V>(1), near, far);
}

template <class V>
MASKGRAD_RULE inline V erf(V x) {
  return math::copysign(math::erf_of_positive(math::abs(x)), x);
}

/// gelu'(-z) = Phi(-z) - z phi(z) = phi(z) (z0 - z) (1 + a / b), z0 being its root, a and b those
/// of kGeluSlopeRatio.
template <class V>
MASKGRAD_RULE inline V gelu_slope_tail(V z) {
  using T = Element<V>;
  auto w = math::sum(V(kGeluRoot<T>.high), math::negative(z));
  w.lo = w.lo + V(kGeluRoot<T>.low);
  const V a = math::polynomial(kGeluSlopeRatio<T>.upper, z);
  const V b = math::polynomial(kGeluSlopeRatio<T>.lower, z);
  const auto e = math::minus_half_square(z);
  const auto f = math::times_exp(kDensity<T>, a / b, e.r);
  const V rest = math::multiply_add(w.lo, f.hi, w.hi * f.lo);
  return math::scaled(math::fused_multiply_add(w.hi, f.hi, rest), e.n);
}

/// From this z on, the most that they take, the two below are 0. The power of two keeps 1 + e^u
/// from overflowing.
template <class T>
inline constexpr double kGeluTanhLimit = std::is_same_v<T, float> ? 11 : 22;
template <class T>
inline constexpr int kGeluTanhPower = std::is_same_v<T, float> ? -64 : -128;

/// u(z) = 2 sqrt(2 / pi) (z + 0.044715 z^3), the part of it with z^3, and 2^kGeluTanhPower
/// (1 + e^u). The relative error of e^u is the error of u, and u is large. So u is held as a sum,
/// and so is the part of it.
template <class V>
struct GeluTanhParts {
  Pair<V> u, cubic;
  V one_plus_exp;
};
template <class V>
MASKGRAD_RULE inline GeluTanhParts<V> gelu_tanh_parts(V z) {
  using T = Element<V>;
  const V square = z * z, cube = square * z;
  const V of_square = math::product_error(z, z, square);
  const V of_cube = math::multiply_add(of_square, z, math::product_error(square, z, cube));
  const auto linear = math::times_split(kGeluTanhLinear<T>, Pair<V>{z, constant<V>(0)});
  const auto cubic = math::times_split(kGeluTanhCubic<T>, Pair<V>{cube, of_cube});
  const auto u = math::sum(linear, cubic);
  return {u, cubic, math::one_plus_exp(math::exponential(math::reduced(u)), kGeluTanhPower<T>)};
}

/// start + gelu_tanh(-z), gelu_tanh(-z) = -z / (1 + e^u)
template <class V>
MASKGRAD_RULE inline V add_gelu_tanh_tail(V start, V z) {
  const V power = math::two_to_the(constant<V>(0), kGeluTanhPower<Element<V>>);
  const V d = math::gelu_tanh_parts(z).one_plus_exp;
  return math::multiply_add(z / d, math::negative(power), start);
}

/// gelu_tanh'(-z) = (1 - z u' sigmoid(u)) / (1 + e^u). Near its root z0 the numerator is x f(x)
/// with x = z0 - z, f being kGeluTanhSlopeTerms. Beyond, it is 1 - z u' + z u' / (1 + e^u).
template <class V>
MASKGRAD_RULE inline V gelu_tanh_slope_tail(V z) {
  using T = Element<V>;
  const auto [u, cubic, d] = math::gelu_tanh_parts(z);
  const V power = math::two_to_the(constant<V>(0), kGeluTanhPower<T>), two = constant<V>(2);
  // z u' = u + 2 cubic
  const auto product = math::sum(u, Pair<V>{two * cubic.hi, two * cubic.lo});
  const auto rest = math::sum(constant<V>(1), math::negative(product.hi));
  const V far = rest.hi + math::multiply_add(product.hi, power / d, rest.lo - product.lo);

  auto x = math::sum(V(kGeluTanhRoot<T>.high), math::negative(z));
  x.lo = x.lo + V(kGeluTanhRoot<T>.low);
  const auto f = math::polynomial_sum(kGeluTanhSlopeTerms<T>, x.hi);
  const V low = math::multiply_add(x.lo, f.hi, x.hi * f.lo);
  const V near = math::fused_multiply_add(x.hi, f.hi, low);
  return math::select(math::abs(x.hi) < constant<V>(0.45), near, far) / d * power;
}

}  // namespace maskgrad::ops::math
