// Sequences turned around within a batch, and segments within a row of them. Follows Caffe2's
// ReversePackedSegs (caffe2/operators/reverse_packed_segs_op.h).
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

/// Turns each sequence around, padding stays where it is:
///   y[t, b] = x[lengths[b] - 1 - t, b] for t < lengths[b], x[t, b] after that.
/// data [T, B, ...] of any dtype, or [B, T, ...] with `batch_first`; lengths int32 or int64 [B] ->
/// the same shape. Its own inverse, and its own gradient. With batch_first the sequence mask of the
/// data is turned around too. Throws Error for a length < 0 or > T, or lengths of another size.
///
/// A bidirectional layer reads forwards and, turned around, backwards:
///   y = concat(f(x), reverse_packed_segs(g(reverse_packed_segs(x, lengths)), lengths))
Variable reverse_packed_segs(const Variable& data, const Tensor& lengths, bool batch_first = false);

/// Segments in reverse order, with their lengths.
struct ReversedSegments {
  Variable output;
  Tensor lengths;
};
/// The segments of `data`, one after another, in reverse order; elements inside a segment stay in
/// theirs. data [sum of lengths, ...], lengths int32 or int64 [K] -> the same shape, and the
/// lengths reversed, with which it is its own inverse and gradient.
/// Throws Error for a negative length, or lengths that do not add up to the data's rows.
ReversedSegments reverse_segment_order(const Variable& data, const Tensor& lengths);

}  // namespace maskgrad::ops
