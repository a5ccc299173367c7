// Sequences of a batch reversed, and the order of segments reversed. Follows Caffe2's
// ReversePackedSegs (caffe2/operators/reverse_packed_segs_op.h).
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

/// Reverses each sequence. Padding stays where it is:
///   y[t, b] = data[lengths[b] - 1 - t, b] for t < lengths[b], data[t, b] for the other t.
/// data [T, B, ...] of any dtype, or [B, T, ...] with `batch_first`; lengths int32 or int64 [B] ->
/// the shape of data. The operation is its own inverse, and its own gradient. With batch_first the
/// sequence mask of the data is reversed too.
/// Throws Error for a length < 0 or > T, for lengths of another size, and for data [T, B, ...] that
/// carry a mask.
///
/// A bidirectional layer runs f forwards and g backwards:
///   y = concat(f(x), reverse_packed_segs(g(reverse_packed_segs(x, lengths)), lengths))
Variable reverse_packed_segs(const Variable& data, const Tensor& lengths, bool batch_first = false);

/// Segments in reverse order, with their lengths.
struct ReversedSegments {
  Variable output;
  Tensor lengths;
};
/// Puts the segments of `data` in reverse order. They stand one after another along the first
/// dimension. The order inside a segment stays.
/// data [sum of lengths, ...] of any dtype, lengths int32 or int64 [K] -> the shape of data, and
/// the lengths in reverse order. With these lengths the operation is its own inverse and gradient.
/// Throws Error for a negative length, for lengths that do not add up to the data's rows, and for
/// data that carry a mask.
ReversedSegments reverse_segment_order(const Variable& data, const Tensor& lengths);

}  // namespace maskgrad::ops
