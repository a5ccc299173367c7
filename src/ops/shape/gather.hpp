// Entries and elements chosen by index along a dimension, named as in PyTorch.
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

/// Entries along `axis` in the order of `indices`, which may name one several times or not at all:
///   y[..., k, ...] = x[..., indices[k], ...]
/// x of any dtype, indices int32 or int64 [K]. dx sums g over the places an entry was taken to. A
/// mask [B, S]: along a later axis it is kept; along B or S its bits are taken in the same way.
/// Throws Error for an index outside 0 .. size-1, and indices of another rank.
Variable index_select(const Variable& x, std::int64_t axis, const Tensor& indices);

/// One element along `axis` for each index:
///   y[i, j, k] = x[i, indices[i, j, k], k] for axis 1
/// x of any dtype; indices int32 or int64, of x's sizes except along `axis` -> the shape of
/// indices. dx sums g over the places an element was taken to. A mask [B, S] is kept along a later
/// axis; indices in its holes are not read, and y is 0 there. Throws Error for an index outside 0
/// .. size-1, indices of other sizes, and an axis that would move the positions of a mask.
Variable gather(const Variable& x, std::int64_t axis, const Tensor& indices);

}  // namespace maskgrad::ops
