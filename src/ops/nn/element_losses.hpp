// Losses of each element by itself, as sums with counts: the division comes last, see loss.hpp.
#pragma once

#include <maskgrad/ops/nn/loss.hpp>

namespace maskgrad::ops {

// Two values of one shape and one floating dtype -> (scalar, number of elements that count).
// Nothing is broadcast: (N,) against (N, 1) would be N^2 pairs. When an input carries a mask
// [B, S], only the positions that it keeps count. The others are not read, and their gradient is
// exactly 0. Each throws Error for other shapes or dtypes.

/// Squared error: the sum of (prediction - target)^2. mean() of the result is the MSE. Both inputs
/// take a gradient. Throws Error also when they carry different masks.
SumCount mse(const Variable& prediction, const Variable& target);

/// Binary cross-entropy with logits: the sum of -t log sigmoid(x) - (1 - t) log sigmoid(-x), stable
/// for any finite logits x. targets: probabilities t, no gradient. Throws Error also for a target
/// that counts and is outside 0 .. 1.
SumCount bce_with_logits(const Variable& logits, const Tensor& targets);

}  // namespace maskgrad::ops
