// The slope of a power. Installed for ops/cuda/elements.hpp.
#pragma once

#include <cmath>
#include <concepts>
#include <limits>

#include <maskgrad/ops/functors/rule.hpp>

namespace maskgrad::ops::math {

/// (high + low) 2^exponent, where low is less than a rounding of high.
struct WideNumber {
  double high, low;
  int exponent;
};

/// x^(p - 1), which may be far out of the range of double.
MASKGRAD_RULE inline WideNumber lowered_power(double x, double p) {
  using Limits = std::numeric_limits<double>;
  constexpr double kLeast = Limits::min(), kMost = Limits::max(), kTiny = Limits::denorm_min(),
                   kNoNumber = Limits::quiet_NaN();
  const double q = p - 1, rounded = std::pow(x, q);
  // There every p is even. p - 1 is odd, but rounded to an even number.
  const double power = std::abs(p) < 0x1p53 ? rounded : std::copysign(rounded, x);
  const double size = std::abs(power);
  const bool is_number = std::abs(x) > 0 && std::abs(x) <= kMost;
  if (power != power || !is_number) return {power, 0, 0};
  // A fraction that p - 1 has lost.
  if (x < 0 && std::trunc(p) != p) return {kNoNumber, 0, 0};
  WideNumber y{};
  bool is_exact = true;
  if (size >= kLeast && size <= kMost) {
    y.high = std::frexp(power, &y.exponent);
  } else {
    // Beyond these bounds no product with two doubles comes back into the range.
    const double root = std::pow(std::abs(x), q / 4);
    const double bounded = root > kMost ? kMost : root < kTiny ? kTiny : root;
    const double fraction = std::frexp(bounded, &y.exponent), square = fraction * fraction;
    y.high = std::copysign(square * square, power);
    y.exponent *= 4;
    is_exact = bounded == root;
  }
  // The rounding of p - 1 counts for as much as log x: x^(q + lost) = x^q (1 + lost log x).
  const double lost = std::abs(p) > 1 ? -1 - (q - p) : p - (q + 1);
  y.low = lost == 0 || !is_exact ? 0 : y.high * (lost * std::log(std::abs(x)));
  return y;
}

/// g p x^(p - 1), g times the slope of x^p, to 2 units in the last place, and to 6 where the power
/// leaves the range. Neither that nor a product leaves it before the result does.
MASKGRAD_RULE inline double pow_gradient(double x, double g, double p) {
  const WideNumber power = lowered_power(x, p);
  int of_g = 0, of_p = 0;
  const double a = std::frexp(g, &of_g), b = std::frexp(p, &of_p);
  const double factor = a * b, product = factor * power.high;
  const double rest = std::fma(factor, power.high, -product) +
                      (std::fma(a, b, -factor) * power.high + factor * power.low);
  constexpr double kMost = std::numeric_limits<double>::max();
  const bool is_number = std::abs(product) <= kMost;
  return std::ldexp(is_number ? product + rest : product, of_g + of_p + power.exponent);
}
MASKGRAD_RULE inline float pow_gradient(float x, float g, double p) {
  return static_cast<float>(pow_gradient(static_cast<double>(x), static_cast<double>(g), p));
}

}  // namespace maskgrad::ops::math
