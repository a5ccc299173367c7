// How far a result is from the exact one, in units of its last place.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

namespace maskgrad::test {

/// (high + low) 2^exponent, both of one sign: more digits, and a wider range, than a double has.
struct Exact {
  double high, low = 0;
  int exponent = 0;
};

/// |y - exact| in the spacing of T where the exact value is. That is the spacing of denormal
/// numbers below the least normal one, and an infinite y counts as the first power of two that
/// overflows. NaN is infinitely far from all but NaN.
template <class T>
double ulps(T y, const Exact& exact) {
  using Limits = std::numeric_limits<T>;
  if (std::isnan(y) || std::isnan(exact.high)) {
    return std::isnan(y) && std::isnan(exact.high) ? 0 : std::numeric_limits<double>::infinity();
  }
  const double size = std::abs(exact.high + exact.low);
  if (std::isinf(y)) {
    const double last = std::ldexp(std::numeric_limits<T>::epsilon(), -1);
    const bool overflows = std::ldexp(size, exact.exponent - Limits::max_exponent) >= 1 - last / 2;
    const bool same_sign = std::signbit(y) == std::signbit(exact.high);
    return overflows && same_sign ? 0 : ulps(std::copysign(Limits::max(), y), exact) + 1;
  }
  const int top = size > 0 ? std::ilogb(size) + exact.exponent : Limits::min_exponent;
  const int last = std::max(top, Limits::min_exponent - 1) - (Limits::digits - 1);
  const double error =
      (std::ldexp(static_cast<double>(y), -exact.exponent) - exact.high) - exact.low;
  return std::ldexp(std::abs(error), exact.exponent - last);
}

/// The largest of many errors, and where it was.
struct WorstUlps {
  double ulps = 0, at = 0;

  void add(double error, double x) {
    if (error > ulps) *this = {error, x};
  }
};

}  // namespace maskgrad::test
