// tanh as the cap of attention's scores takes it, for one element or a vector of them. Internal to
// src/ops.
//
// It takes less than the rule Tanh, and errs by some more units in the last place. The polynomials
// are those of Cephes.
#pragma once

#include <array>
#include <type_traits>

#include <maskgrad/ops/functors/fast_exp.hpp>
#include <maskgrad/ops/functors/rule.hpp>
#include <maskgrad/ops/functors/sums.hpp>

namespace maskgrad::ops::math {

/// tanh z for 0 <= z < 5/8 is z + z x / y with x = z^2 f(z^2) and y = 1 in float, g(z^2) in double.
MASKGRAD_TABLE std::array<float, 5> kFastTanhTerms = {
    -0x1.555532p-2f, 0x1.110726p-3f, -0x1.b83c5ap-5f, 0x1.52269cp-6f, -0x1.75e1d4p-8f};
MASKGRAD_TABLE std::array<double, 3> kFastTanhUpper = {
    -0x1.93ac030580563p+10, -0x1.8d26a0e26682dp+6, -0x1.edc5baafd6f4bp-1};
MASKGRAD_TABLE std::array<double, 4> kFastTanhLower = {0x1.2ec102442040cp+12, 0x1.176fa0e5535fap+11,
                                                       0x1.c33f28a581b86p+6, 1};

template <class V>
MASKGRAD_RULE inline V fast_tanh_near_0(V z) {
  const V square = z * z;
  if constexpr (std::is_same_v<Element<V>, float>) {
    return math::multiply_add(math::polynomial(kFastTanhTerms, square) * square, z, z);
  } else {
    const V upper = square * math::polynomial(kFastTanhUpper, square);
    return math::multiply_add(upper / math::polynomial(kFastTanhLower, square), z, z);
  }
}

template <class V>
MASKGRAD_RULE inline V fast_tanh(V x) {
  const V z = math::abs(x), one = constant<V>(1);
  const auto is_near = z < constant<V>(0.625);
  V near = one;
  if (math::any(is_near)) {
    near = math::fast_tanh_near_0(z);
    if (math::all(is_near)) return math::copysign(near, x);
  }
  const V far = math::multiply_add(constant<V>(-2), one / (one + math::fast_exp(z + z)), one);
  return math::copysign(math::select(is_near, near, far), x);
}

}  // namespace maskgrad::ops::math
