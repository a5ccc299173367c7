// Normalisation over features.
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

/// y = (x - mean) / sqrt(var + eps) * weight + bias, mean and (biased) variance over the last
/// dimension. x [..., D], weight [D], bias [D] -> [..., D]. Ba et al. 2016, "Layer normalization".
/// The mask of x is kept. Throws Error for other shapes or dtypes, and for an eps that is below 0,
/// not finite, or does not fit x's dtype (see Scalar).
Variable layer_norm(const Variable& x, const Variable& weight, const Variable& bias,
                    double eps = 1e-5);

/// The same with mean and variance over the features where `keep` is true; the others are exactly 0
/// and send exactly 0 back, as do rows without any. keep bool, broadcasting to x. (Positions are
/// masked by the mask that x carries: each has statistics of its own.)
Variable masked_layer_norm(const Variable& x, const Tensor& keep, const Variable& weight,
                           const Variable& bias, double eps = 1e-5);

}  // namespace maskgrad::ops
