#include <cmath>

#include <maskgrad/ops/functors/binary_rules.hpp>
#include <maskgrad/ops/math/binary.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/unary.hpp>

namespace maskgrad::ops {
namespace {

using functors::Greater;
using functors::Less;

const OpDef& kAdd = register_binary("add", "a + b", add, Reads::nothing(), Reads::nothing());
const OpDef& kSubtract =
    register_binary("subtract", "a - b", subtract, Reads::nothing(), Reads::nothing());
const OpDef& kMultiply = register_binary("multiply", "a * b", multiply, Reads{"b"}, Reads{"a"});
const OpDef& kDivide =
    register_binary("divide", "a / b", divide, Reads{"b"}, Reads{"b", "output"}, 0.5);
const OpDef& kMaximum = register_binary("maximum", "the larger of a and b", maximum,
                                        Reads::nothing(), Reads::nothing());
const OpDef& kMinimum = register_binary("minimum", "the smaller of a and b", minimum,
                                        Reads::nothing(), Reads::nothing());

const OpDef& kNegate = register_unary("negate", "-x", negate, {}, -2.0, Reads::nothing());
const OpDef& kScale =
    register_unary("scale", "factor * x", scale, {{"factor", 1.0}}, -2.0, Reads::nothing());
const OpDef& kExp = register_unary("exp", "e^x", exp);
const OpDef& kLog = register_unary("log", "natural logarithm", log, {}, 0.5);
const OpDef& kSqrt = register_unary("sqrt", "square root", sqrt, {}, 0.5);
const OpDef& kSquare = register_unary("square", "x^2", square);
const OpDef& kAbs = register_unary("abs", "|x|", abs);
const OpDef& kPow = register_unary("pow", "x^exponent", pow, {{"exponent", 1.5}}, 0.5);
const OpDef& kClip = register_unary("clip", "the number in [low, high] nearest to x", clip,
                                    {{"low", -1.0}, {"high", 1.0}}, -2.0, Reads::nothing());

constexpr functors::Multiply kProduct;
constexpr functors::Divide kQuotient;

// f(a, b) with broadcasting.
template <class F>
Tensor zip(const OpDef& op, F f, const Variable& a, const Variable& b) {
  check_defined(op, {&a, &b});
  return zip_elements(op.name.c_str(), f, a.value(), b.value());
}

// The a or b that Wins; all of the gradient goes to it, half to each on a tie.
template <class Wins>
Variable extremum(const OpDef& op, const Variable& a, const Variable& b) {
  Tensor y = zip(op, functors::Extremum<Wins>(), a, b);
  return record(op, {&a, &b}, std::move(y),
                [&op, a = Saved(op, "a", a.value()), b = Saved(op, "b", b.value())](
                    const Tensor& g, Gradients& grads) {
                  constexpr functors::ShareOf<Wins> kShare;
                  const char* name = op.name.c_str();
                  if (grads.needed(0)) grads.set(0, zip_elements(name, kShare, g, *a, *b));
                  if (grads.needed(1)) grads.set(1, zip_elements(name, kShare, g, *b, *a));
                });
}

}  // namespace

// d(a + b) = g, g
Variable add(const Variable& a, const Variable& b) {
  return record(kAdd, {&a, &b}, zip(kAdd, functors::Add(), a, b),
                [](const Tensor& g, Gradients& grads) {
                  grads.set(0, g);
                  grads.set(1, g);
                });
}

// d(a - b) = g, -g
Variable subtract(const Variable& a, const Variable& b) {
  return record(kSubtract, {&a, &b}, zip(kSubtract, functors::Subtract(), a, b),
                [](const Tensor& g, Gradients& grads) {
                  grads.set(0, g);
                  if (grads.needed(1))
                    grads.set(1, map_elements("subtract", functors::Negate(), g));
                });
}

// d(a b) = g b, g a
Variable multiply(const Variable& a, const Variable& b) {
  Tensor y = zip(kMultiply, kProduct, a, b);
  return record(kMultiply, {&a, &b}, std::move(y),
                [a = Saved(kMultiply, "a", a.value()), b = Saved(kMultiply, "b", b.value())](
                    const Tensor& g, Gradients& grads) {
                  if (grads.needed(0)) grads.set(0, zip_elements("multiply", kProduct, g, *b));
                  if (grads.needed(1)) grads.set(1, zip_elements("multiply", kProduct, g, *a));
                });
}

// d(a / b) = g / b, -g y / b
Variable divide(const Variable& a, const Variable& b) {
  const Tensor y = zip(kDivide, kQuotient, a, b);
  return record(kDivide, {&a, &b}, y,
                [y = Saved(kDivide, "output", y), b = Saved(kDivide, "b", b.value())](
                    const Tensor& g, Gradients& grads) {
                  const Tensor over_b = zip_elements("divide", kQuotient, g, *b);
                  grads.set(0, over_b);
                  if (grads.needed(1))
                    grads.set(1, map_elements("divide", functors::NegatedProduct(), over_b, *y));
                });
}

Variable maximum(const Variable& a, const Variable& b) { return extremum<Greater>(kMaximum, a, b); }
Variable minimum(const Variable& a, const Variable& b) { return extremum<Less>(kMinimum, a, b); }

Variable negate(const Variable& x) { return unary(kNegate, x, functors::Negate()); }
Variable exp(const Variable& x) { return unary(kExp, x, functors::Exp()); }
Variable log(const Variable& x) { return unary(kLog, x, functors::Log()); }
Variable sqrt(const Variable& x) { return unary(kSqrt, x, functors::Sqrt()); }
Variable square(const Variable& x) { return unary(kSquare, x, functors::Square()); }
Variable abs(const Variable& x) { return unary(kAbs, x, functors::Abs()); }

Variable scale(const Variable& x, Scalar factor) {
  const double value = real_argument(kScale, "factor", factor, x.dtype());
  return unary(kScale, x, functors::Scale{functors::Factor(value)}, {{"factor", value}});
}

Variable pow(const Variable& x, Scalar exponent) {
  const double value = real_argument(kPow, "exponent", exponent, x.dtype());
  check(std::isfinite(value), "pow", "the exponent must be finite, got {}", value);
  return unary(kPow, x, functors::Pow{value}, {{"exponent", value}});
}

Variable clip(const Variable& x, Scalar low, Scalar high) {
  const functors::Clip clipped{real_argument(kClip, "low", low, x.dtype()),
                               real_argument(kClip, "high", high, x.dtype())};
  check(clipped.low <= clipped.high, "clip", "low must be at most high, got {} and {}", clipped.low,
        clipped.high);
  return unary(kClip, x, clipped, {{"low", clipped.low}, {"high", clipped.high}});
}

}  // namespace maskgrad::ops
