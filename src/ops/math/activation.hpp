// Nonlinear functions of one floating input x of any shape, element by element. The output has the
// shape of x, and its mask.
//
// They are accurate over the whole range: within 2 units in the last place of the exact value in
// float32 and 4 in float64, and their gradients within 4 and 8, also beside the roots of a slope
// and where results are denormal. Where the thread flushes denormal numbers, these are 0. At
// infinity a function and its slope are their limits. NaN gives NaN, in the gradient too; but relu
// and leaky_relu choose what to do with a gradient, and let it pass unchanged where x is NaN.
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

Variable sigmoid(const Variable& x);   ///< 1 / (1 + e^-x)
Variable tanh(const Variable& x);      ///< hyperbolic tangent
Variable softplus(const Variable& x);  ///< log(1 + e^x), without overflow
Variable relu(const Variable& x);      ///< max(x, 0), gradient 0 at 0; NaN stays NaN
/// x where x > 0, slope * x elsewhere. At 0 the gradient is slope. Throws Error when the slope is
/// not finite, or does not fit x's dtype (see Scalar).
Variable leaky_relu(const Variable& x, Scalar slope = 0.01);
/// x where x > 0, alpha (e^x - 1) elsewhere (Clevert et al. 2016). At 0 the gradient is alpha.
/// Throws Error when alpha is not finite, or does not fit x's dtype.
Variable elu(const Variable& x, Scalar alpha = 1.0);
/// x Phi(x), Phi the normal distribution function, not approximated by tanh (Hendrycks & Gimpel
/// 2016).
Variable gelu(const Variable& x);
/// x sigmoid(x) (Elfwing et al. 2018).
Variable silu(const Variable& x);

}  // namespace maskgrad::ops
