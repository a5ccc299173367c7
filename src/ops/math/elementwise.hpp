// Operations on each element by itself. Every one keeps the mask of its inputs.
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

// Two floating inputs of one dtype, broadcast by NumPy's rule. Each throws Error when the shapes do
// not broadcast, when the dtypes differ, when the inputs carry different masks, and when
// broadcasting would put dimensions before the positions of a mask.

Variable add(const Variable& a, const Variable& b);       ///< a + b
Variable subtract(const Variable& a, const Variable& b);  ///< a - b
Variable multiply(const Variable& a, const Variable& b);  ///< a * b
Variable divide(const Variable& a, const Variable& b);    ///< a / b
/// The larger of a and b. Where they are equal, each gets half of the gradient.
Variable maximum(const Variable& a, const Variable& b);
/// The smaller of a and b. Where they are equal, each gets half of the gradient.
Variable minimum(const Variable& a, const Variable& b);

/// a where the condition holds, b elsewhere. The values are selected, so a NaN or Inf that is not
/// selected has no effect. da = g where the condition holds, and exactly 0 elsewhere. db = g where
/// it does not hold, and exactly 0 elsewhere.
/// condition: bool. a and b: of one dtype, any. The three broadcast. Throws Error otherwise, and
/// for masks as add().
Variable where(const Tensor& condition, const Variable& a, const Variable& b);

// One floating input x of any shape. The output has the shape of x. The results are as accurate as
// those of activation.hpp.

Variable negate(const Variable& x);  ///< -x
/// factor * x. Throws Error when the factor does not fit x's dtype (see Scalar).
Variable scale(const Variable& x, Scalar factor);
Variable exp(const Variable& x);     ///< e^x
Variable log(const Variable& x);     ///< natural logarithm
Variable sqrt(const Variable& x);    ///< square root
Variable square(const Variable& x);  ///< x^2
Variable abs(const Variable& x);     ///< |x|, gradient 0 at 0
/// x^exponent, as std::pow: NaN where x < 0 and the exponent is not whole, 1 for the exponent 0.
/// dx = exponent x^(exponent - 1) g. The slope is 0 everywhere for the exponent 0. It is infinite
/// at x = 0 for any other exponent below 1. Throws Error for an exponent that is not finite, or
/// does not fit x's dtype.
Variable pow(const Variable& x, Scalar exponent);
/// The number in [low, high] that is nearest to x; NaN stays NaN. dx = g for low <= x <= high.
/// Elsewhere, and where x is NaN, dx is exactly 0. A bound may be infinite. Throws Error unless
/// low <= high, and for a bound that does not fit x's dtype.
Variable clip(const Variable& x, Scalar low, Scalar high);

}  // namespace maskgrad::ops
