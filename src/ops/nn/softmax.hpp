// Softmax over the last dimension.
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

/// y_j = exp(x_j) / sum_k exp(x_k) over the last dimension, computed after subtracting the maximum.
/// x [..., N] -> [..., N]. The mask of x is kept. Throws Error for a masked x [B, S], because the
/// sum would read its holes: use masked_softmax().
Variable softmax(const Variable& x);

/// y_j = x_j - log sum_k exp(x_k) over the last dimension. Masks and errors as softmax().
Variable log_softmax(const Variable& x);

/// Softmax over the places of the last dimension where `keep` is true, and exactly 0 at the others.
/// A row without a kept place is exactly 0 and sends exactly 0 back. Neither the elements of x nor
/// the gradients at the other places are read.
/// x [..., N], keep bool, broadcasting to x -> [..., N]. The mask of x is kept. Its holes do not
/// count either: they are exactly 0.
/// Throws Error when keep does not broadcast to x, and when x is a scalar.
Variable masked_softmax(const Variable& x, const Tensor& keep);

/// The logarithm of masked_softmax() at the kept places. At the others it is exactly 0, not -inf,
/// so that a sum over a row stays finite. Otherwise as masked_softmax().
Variable masked_log_softmax(const Variable& x, const Tensor& keep);

}  // namespace maskgrad::ops
