// Softmax over the last dimension.
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

/// y_j = exp(x_j) / sum_k exp(x_k) over the last dimension, computed after subtracting the maximum.
/// x [..., N] -> [..., N]. A mask [B, S] is kept when the last dimension is not its S; otherwise
/// Error: use masked_softmax.
Variable softmax(const Variable& x);

/// y_j = x_j - log sum_k exp(x_k) over the last dimension; masks as softmax.
Variable log_softmax(const Variable& x);

/// Softmax over the places of the last dimension where `keep` is true, exactly 0 at the others; a
/// row without any is exactly 0 and sends exactly 0 back. What stands at the other places is never
/// read, nor is a gradient that arrives there.
/// x [..., N], keep bool, broadcasting to x -> [..., N]. The mask of x is kept, and its
/// holes do not count either: they are exactly 0.
Variable masked_softmax(const Variable& x, const Tensor& keep);

/// The logarithm of masked_softmax at the kept places, and exactly 0, not -inf, at the others, so
/// that a sum over a row stays finite. Otherwise as masked_softmax.
Variable masked_log_softmax(const Variable& x, const Tensor& keep);

}  // namespace maskgrad::ops
