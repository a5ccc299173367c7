// Products of matrices, one or a batch of them.
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

/// y = op(a) op(b), op(x) = x or x transposed in its last two dimensions.
/// op(a) [..., M, K], op(b) [..., K, N] -> y [..., M, N]; leading dimensions broadcast.
/// The mask of `a` [B, S] stays where its positions are rows of `y` ([B, S, K], not transposed);
/// `b` carries none. Throws Error for fewer than two dimensions, inner dimensions or dtypes that
/// differ, leading dimensions that do not broadcast, a mask on `b`, or a mask whose positions are
/// summed over.
Variable matmul(const Variable& a, const Variable& b, bool transpose_a = false,
                bool transpose_b = false);

}  // namespace maskgrad::ops
