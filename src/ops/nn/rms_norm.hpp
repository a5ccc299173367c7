// Normalisation over features by their root mean square.
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

/// y = x / sqrt(mean(x^2) + eps) * weight, with the mean over the last dimension. x [..., D],
/// weight [D] -> [..., D]. Zhang & Sennrich 2019, "Root mean square layer normalization". The mask
/// of x is kept, and y is 0 in its holes.
/// The mean is computed in float64. No square overflows: y is right for every finite x. A row of
/// zeros gives 0. With eps 0, y is right where x is a normal number, and a row of zeros gives NaN.
/// Throws Error for other shapes or dtypes, and for an eps that is below 0, not finite, or does not
/// fit x's dtype (see Scalar). Throws Error for a masked x [B, S], whose features are positions.
Variable rms_norm(const Variable& x, const Variable& weight, double eps = 1e-6);

}  // namespace maskgrad::ops
