// The operations of elementwise.hpp with one input.
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/unary.hpp>
#include <maskgrad/ops/op_inputs.hpp>

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

}  // namespace

Variable negate(const Variable& x) { return unary(kNegate, x, functors::Negate()); }
Variable exp(const Variable& x) { return unary(kExp, x, functors::Exp()); }
Variable log(const Variable& x) { return unary(kLog, x, functors::Log()); }
Variable sqrt(const Variable& x) { return unary(kSqrt, x, functors::Sqrt()); }
Variable square(const Variable& x) { return unary(kSquare, x, functors::Square()); }
Variable abs(const Variable& x) { return unary(kAbs, x, functors::Abs()); }

Variable scale(const Variable& x, Scalar factor) {
  const double value = real_argument(kScale, "factor", factor, x.dtype());
  return unary(kScale, x, functors::Scale{functors::Factor(value)});
}

}  // namespace maskgrad::ops
