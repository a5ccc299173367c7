// Operations on each element by itself. Every one keeps the mask of its inputs.
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

// Two floating inputs of one dtype, broadcast by NumPy's rule; each throws Error when the shapes do
// not broadcast or the dtypes differ.

Variable add(const Variable& a, const Variable& b);       ///< a + b
Variable subtract(const Variable& a, const Variable& b);  ///< a - b
Variable multiply(const Variable& a, const Variable& b);  ///< a * b
Variable divide(const Variable& a, const Variable& b);    ///< a / b
/// The larger of a and b. Where they are equal, each gets half of the gradient.
Variable maximum(const Variable& a, const Variable& b);
/// The smaller of a and b. Where they are equal, each gets half of the gradient.
Variable minimum(const Variable& a, const Variable& b);

/// a where the condition holds, b elsewhere; selected, so that nothing of the other, NaN or Inf,
/// gets through. da = g where it holds, exactly 0 elsewhere; db the other way round.
/// condition: bool. a and b: of one dtype, any. The three broadcast. Throws Error otherwise.
Variable where(const Tensor& condition, const Variable& a, const Variable& b);

// One floating input x of any shape; the output has its shape. As accurate as activation.hpp says.

Variable negate(const Variable& x);  ///< -x
/// factor * x. Throws Error when the factor does not fit x's dtype (see Scalar).
Variable scale(const Variable& x, Scalar factor);
Variable exp(const Variable& x);     ///< e^x
Variable log(const Variable& x);     ///< natural logarithm
Variable sqrt(const Variable& x);    ///< square root
Variable square(const Variable& x);  ///< x^2
Variable abs(const Variable& x);     ///< |x|, gradient 0 at 0
/// x^exponent, as std::pow: NaN where x < 0 and the exponent is not whole, 1 for the exponent 0.
/// dx = exponent x^(exponent - 1) g, which is 0 everywhere for the exponent 0, and infinite at 0
/// for one below 1. Throws Error for an exponent that is not finite, or does not fit x's dtype.
Variable pow(const Variable& x, Scalar exponent);
/// The number in [low, high] that is nearest to x; NaN stays NaN. dx = g for low <= x <= high.
/// Elsewhere, and where x is NaN, dx is exactly 0. A bound may be infinite. Throws Error unless
/// low <= high, and for a bound that does not fit x's dtype.
Variable clip(const Variable& x, Scalar low, Scalar high);

}  // namespace maskgrad::ops
