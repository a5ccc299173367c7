// Nonlinear functions of one floating input x of any shape, element by element. The output has the
// shape of x, and its mask.
//
// Values are within 2 units in the last place (ulp) of the exact ones in float32, and within 4 ulp
// in float64. Gradients are within 4 and 8 ulp. This holds over the whole range, beside the roots
// of a slope, and for denormal results. In a thread that flushes denormal numbers, these are 0.
// At infinity a function and its slope take their limits. NaN gives NaN, also in the gradient. Only
// relu and leaky_relu pass a gradient on unchanged where x is NaN.
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
/// x Phi(x), where Phi is the standard normal distribution function (Hendrycks & Gimpel 2016). This
/// is the exact form. gelu_tanh() is the approximation by tanh.
Variable gelu(const Variable& x);
/// x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, an approximation of gelu() (Hendrycks &
/// Gimpel 2016). It differs from gelu() by up to 0.0005. Models that were trained with one need
/// that one.
Variable gelu_tanh(const Variable& x);
/// x sigmoid(x) (Elfwing et al. 2018).
Variable silu(const Variable& x);

}  // namespace maskgrad::ops
