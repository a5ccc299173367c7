// The operations of elementwise.hpp with one input: a file of their own, because each expression
// costs the compiler half a second.
#include <maskgrad/ops/elementwise.hpp>
#include <maskgrad/ops/op_inputs.hpp>
#include <maskgrad/ops/unary.hpp>

namespace maskgrad::ops {
namespace {

const OpDef& kNegate = register_unary("negate", "-x", negate, {}, -2.0, Reads::nothing());
const OpDef& kScale =
    register_unary("scale", "factor * x", scale, {{"factor", 1.0}}, -2.0, Reads::nothing());
const OpDef& kExp = register_unary("exp", "e^x", exp);
const OpDef& kLog = register_unary("log", "natural logarithm", log, {}, 0.5);
const OpDef& kSqrt = register_unary("sqrt", "square root", sqrt, {}, 0.5);
const OpDef& kSquare = register_unary("square", "x^2", square);
const OpDef& kAbs = register_unary("abs", "|x|", abs);

constexpr auto kProduct = [](const auto& x, const auto& z) { return x * z; };
constexpr auto kQuotient = [](const auto& x, const auto& z) { return x / z; };

}  // namespace

Variable negate(const Variable& x) {
  return unary(
      kNegate, x, Saves::kNothing, [](const auto& a) { return -a; },
      [](const auto& g, const auto&) { return -g; });
}

Variable scale(const Variable& x, Scalar given) {
  const double factor = real_argument(kScale, "factor", given, x.dtype());
  return unary(
      kScale, x, Saves::kNothing, [=](const auto& a) { return like(a, factor) * a; },
      [=](const auto& g, const auto&) { return like(g, factor) * g; });
}

// dy/dx = y
Variable exp(const Variable& x) {
  return unary(
      kExp, x, Saves::kOutput, [](const auto& a) { return xt::exp(a); }, kProduct);
}

// dy/dx = 1 / x
Variable log(const Variable& x) {
  return unary(
      kLog, x, Saves::kInput, [](const auto& a) { return xt::log(a); }, kQuotient);
}

// dy/dx = 1 / (2 y)
Variable sqrt(const Variable& x) {
  return unary(
      kSqrt, x, Saves::kOutput, [](const auto& a) { return xt::sqrt(a); },
      [](const auto& g, const auto& y) { return g / (y + y); });
}

// dy/dx = 2 x
Variable square(const Variable& x) {
  return unary(
      kSquare, x, Saves::kInput, [](const auto& a) { return a * a; },
      [](const auto& g, const auto& a) { return g * (a + a); });
}

// dy/dx = sign(x)
Variable abs(const Variable& x) {
  return unary(
      kAbs, x, Saves::kInput, [](const auto& a) { return xt::abs(a); },
      [](const auto& g, const auto& a) {
        return xt::where(a > like(a, 0), g, xt::where(a < like(a, 0), -g, like(g, 0)));
      });
}

}  // namespace maskgrad::ops
