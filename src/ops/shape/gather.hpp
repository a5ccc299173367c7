// Entries and elements chosen by index along a dimension, named as in PyTorch.
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

/// The entries along `axis` that `indices` names, in that order:
///   y[..., k, ...] = x[..., indices[k], ...]
/// x of any dtype, indices int32 or int64 [K]. An index may come several times, or not at all. The
/// gradient of an entry is the sum of g over the places that it was taken to.
/// A mask [B, S]: along a later axis it is kept; along B or S its bits are taken in the same way.
/// Throws Error for an index outside 0 .. size-1, and indices of another rank.
Variable index_select(const Variable& x, std::int64_t axis, const Tensor& indices);

/// One element along `axis` for each index:
///   y[i, j, k] = x[i, indices[i, j, k], k] for axis 1
/// x of any dtype; indices int32 or int64, of x's sizes except along `axis` -> the shape of
/// indices. The gradient of an element is the sum of g over the places that it was taken to. A mask
/// [B, S] is kept along a later axis. Indices in its holes are not read, and y is 0 there.
/// Throws Error for an index outside 0 .. size-1, for indices of other sizes, and for a masked x
/// when the axis is B or S.
Variable gather(const Variable& x, std::int64_t axis, const Tensor& indices);

}  // namespace maskgrad::ops
