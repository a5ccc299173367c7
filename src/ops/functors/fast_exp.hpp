// exp as softmax and attention compute it, for one element or a vector of them. Internal to
// src/ops.
//
// It has the bits of the exp that the CPU's vectors have. Results that would be denormal are 0,
// where math::exp() has them.
#pragma once

#include <limits>
#include <numbers>
#include <type_traits>

#include <maskgrad/ops/functors/rule.hpp>
#include <maskgrad/ops/functors/sums.hpp>

namespace maskgrad::ops::math {

namespace detail {

/// log 2 in two parts.
template <class T>
MASKGRAD_TABLE Split<T> kLog2OfFastExp{};
template <>
MASKGRAD_TABLE Split<float> kLog2OfFastExp<float>{0x1.63p-1f, -0x1.bd0106p-13f};
template <>
MASKGRAD_TABLE Split<double> kLog2OfFastExp<double>{0x1.62e42feep-1, 0x1.a39ef35793c76p-33};

/// For float (e^r - 1 - r) / r^2. For double, in x = r^2, (r - c) / x, c being
/// r - (r (e^r + 1) / (e^r - 1) - 2).
template <class T>
MASKGRAD_TABLE Polynomial<T, 5> kFastExpTerms{};
template <>
MASKGRAD_TABLE Polynomial<float, 5> kFastExpTerms<float>{
    {0x1p-1f, 0x1.55534ap-3f, 0x1.5552aep-5f, 0x1.131b16p-7f, 0x1.6ef19ep-10f}, 0x0p+0f};
template <>
MASKGRAD_TABLE Polynomial<double, 5> kFastExpTerms<double>{
    {0x1.555555555553ep-3, -0x1.6c16c16bebd93p-9, 0x1.1566aaf25de2cp-14, -0x1.bbd41c5d26bf1p-20,
     0x1.6376972bea4d0p-25},
    0x0p+0};

/// e^r with log(x) = n log 2 + r, high being x - n kLog2OfFastExp.high.
template <class V>
MASKGRAD_RULE inline V fast_exp_of_rest(V n, V high) {
  using T = Element<V>;
  constexpr auto& terms = kFastExpTerms<T>.terms;
  const V one = constant<V>(1), low(kLog2OfFastExp<T>.low);
  const V r = math::multiply_add(n, V(-kLog2OfFastExp<T>.low), high);
  if constexpr (std::is_same_v<T, float>) {
    return one + math::multiply_add(math::polynomial(terms, r), r * r, r);
  } else {
    const V square = r * r, two = constant<V>(2);
    const V c = math::multiply_add(math::negative(square), math::polynomial(terms, square), r);
    const V quotient = r * c / (two - c);
    return one - (math::multiply_add(n, low, math::negative(quotient)) - high);
  }
}

}  // namespace detail

/// e^x. 0 for a result that would be denormal, infinite for float from 88.37 on.
template <class V>
MASKGRAD_RULE inline V fast_exp(V x) {
  using T = Element<V>;
  constexpr bool kIsFloat = std::is_same_v<T, float>;
  constexpr double kLeast = kIsFloat ? -88.3762626647949 : -708.3964185322641,
                   kMost = kIsFloat ? 88.3762626647949 : 709.78271289338400;
  const V n = math::nearest(constant<V>(std::numbers::log2e) * x);
  const V high = math::multiply_add(n, V(-detail::kLog2OfFastExp<T>.high), x);
  const V y = detail::fast_exp_of_rest(n, high) * math::two_to_the(n);
  return math::select(x >= constant<V>(kMost), V(std::numeric_limits<T>::infinity()),
                      math::select(x <= constant<V>(kLeast), constant<V>(0), y));
}

}  // namespace maskgrad::ops::math
