// + - * / on variables, and with a number on either side:  y = 2 * x + b / (1 - z)
//
// They call add(), subtract(), multiply(), divide() and negate(). A product with a number calls
// scale(). Elsewhere a number becomes a constant of the variable's dtype, without dimensions.
// Throws Error for a number that does not fit that dtype (see Scalar).
#pragma once

#include <maskgrad/ops/math/elementwise.hpp>

// They stand in the namespace of Variable, so that C++ finds them without a using-directive.
namespace maskgrad {

namespace ops {
/// A constant of no dimensions, of x's dtype and on its device. Throws Error "[name] ..." when the
/// number does not fit, or x was never given a value.
Variable constant_like(const char* name, Scalar value, const Variable& x);
}  // namespace ops

inline Variable operator-(const Variable& x) { return ops::negate(x); }

inline Variable operator+(const Variable& a, const Variable& b) { return ops::add(a, b); }
inline Variable operator+(const Variable& a, Scalar b) {
  return ops::add(a, ops::constant_like("add", b, a));
}
inline Variable operator+(Scalar a, const Variable& b) {
  return ops::add(ops::constant_like("add", a, b), b);
}

inline Variable operator-(const Variable& a, const Variable& b) { return ops::subtract(a, b); }
inline Variable operator-(const Variable& a, Scalar b) {
  return ops::subtract(a, ops::constant_like("subtract", b, a));
}
inline Variable operator-(Scalar a, const Variable& b) {
  return ops::subtract(ops::constant_like("subtract", a, b), b);
}

inline Variable operator*(const Variable& a, const Variable& b) { return ops::multiply(a, b); }
inline Variable operator*(const Variable& a, Scalar b) { return ops::scale(a, b); }
inline Variable operator*(Scalar a, const Variable& b) { return ops::scale(b, a); }

inline Variable operator/(const Variable& a, const Variable& b) { return ops::divide(a, b); }
inline Variable operator/(const Variable& a, Scalar b) {
  return ops::divide(a, ops::constant_like("divide", b, a));
}
inline Variable operator/(Scalar a, const Variable& b) {
  return ops::divide(ops::constant_like("divide", a, b), b);
}

}  // namespace maskgrad
