// Products of matrices, one or a batch of them.
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

/// y = op(a) op(b), where op(x) is x, or x transposed in its last two dimensions.
/// op(a) [..., M, K], op(b) [..., K, N] -> y [..., M, N]. Leading dimensions broadcast.
/// y keeps the mask [B, S] of `a`.
/// Throws Error for fewer than two dimensions, for inner dimensions or dtypes that differ, for
/// leading dimensions that do not broadcast, and for a mask on `b`. Throws Error for a mask on `a`
/// when its positions would be summed, or when `b` has more dimensions than `a`.
Variable matmul(const Variable& a, const Variable& b, bool transpose_a = false,
                bool transpose_b = false);

}  // namespace maskgrad::ops
