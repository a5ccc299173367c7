// Means and maxima over the places that count. The other places are neither read nor counted. Where
// no place counts, the result is exactly 0, and the gradient of x is exactly 0.
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

/// Mean along one axis of the elements where `keep` is true. x is floating; keep is bool and
/// broadcasts to x. Returns x's shape without the axis, or with size 1 there for keepdims.
/// The order of the sum depends on the positions alone, so more padding changes no bit.
/// Elements that the mask [B, S] of x leaves out do not count either. The result keeps this mask
/// when the axis comes after S. The mask ends when the axis is S.
/// Throws Error when keep does not broadcast to x, when x is a scalar, and when the axis is B of a
/// masked x.
Variable masked_mean(const Variable& x, const Tensor& keep, std::int64_t axis,
                     bool keepdims = false);

/// The same over the positions that the mask of x keeps, or over all when x carries no mask.
Variable masked_mean(const Variable& x, std::int64_t axis, bool keepdims = false);

/// The largest element along one axis where `keep` is true; otherwise as masked_mean(). NaN counts
/// as the largest. The first of equal elements gets the gradient.
Variable masked_max(const Variable& x, const Tensor& keep, std::int64_t axis,
                    bool keepdims = false);
Variable masked_max(const Variable& x, std::int64_t axis, bool keepdims = false);

}  // namespace maskgrad::ops
