// Normalisation over features.
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

/// y = (x - mean) / sqrt(var + eps) * weight + bias, with the mean and the (biased) variance of the
/// last dimension. x [..., D], weight [D], bias [D] -> [..., D]. Ba et al. 2016, "Layer
/// normalization". The mask of x is kept.
/// Throws Error for other shapes or dtypes, and for an eps that is below 0, not finite, or does not
/// fit x's dtype (see Scalar). Throws Error for a masked x [B, S], whose features are positions.
Variable layer_norm(const Variable& x, const Variable& weight, const Variable& bias,
                    double eps = 1e-5);

/// The same with mean and variance over the features where `keep` is true. At the other features y
/// is exactly 0 and dx is exactly 0. keep is bool and broadcasts to x.
/// `keep` is for features. Positions are left out by the mask of x, and each has statistics of its
/// own. For a masked x [B, S] the holes are features that do not count.
/// Throws Error for a keep that does not fit, and as layer_norm() for shapes, dtypes and eps.
Variable masked_layer_norm(const Variable& x, const Tensor& keep, const Variable& weight,
                           const Variable& bias, double eps = 1e-5);

}  // namespace maskgrad::ops
