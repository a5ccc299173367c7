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

// One floating input x of any shape; the output has its shape. As accurate as activation.hpp says.

Variable negate(const Variable& x);  ///< -x
/// factor * x. Throws Error when the factor does not fit x's dtype (see Scalar).
Variable scale(const Variable& x, Scalar factor);
Variable exp(const Variable& x);     ///< e^x
Variable log(const Variable& x);     ///< natural logarithm
Variable sqrt(const Variable& x);    ///< square root
Variable square(const Variable& x);  ///< x^2
Variable abs(const Variable& x);     ///< |x|, gradient 0 at 0

}  // namespace maskgrad::ops
