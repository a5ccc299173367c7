// Sums, means and maxima along dimensions.
#pragma once

#include <initializer_list>
#include <span>

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

// x is floating. A negative axis counts from the end, and an empty list means all axes. With
// keepdims the reduced dimensions stay, with size 1. A mask [B, S] is kept when neither B nor S is
// reduced. Otherwise sum(), mean() and max() throw Error, because they would read masked places:
// use masked_mean() or masked_max(), or drop_mask() on purpose. All throw Error for an axis that x
// does not have.

/// Sum of the elements along `axes`. The sum of no elements is 0.
Variable sum(const Variable& x, std::span<const std::int64_t> axes = {}, bool keepdims = false);
Variable sum(const Variable& x, std::initializer_list<std::int64_t> axes, bool keepdims = false);
/// Mean of the elements along `axes`. Throws Error when there are none.
Variable mean(const Variable& x, std::span<const std::int64_t> axes = {}, bool keepdims = false);
Variable mean(const Variable& x, std::initializer_list<std::int64_t> axes, bool keepdims = false);
/// The largest element along one axis. NaN counts as the largest. The first of equal elements gets
/// the gradient. Throws Error for an axis of size 0.
Variable max(const Variable& x, std::int64_t axis, bool keepdims = false);
/// Index (int64) of the largest element along one axis. NaN counts as the largest, and the first of
/// equal elements is taken. Returns x's shape without the axis. There is no gradient. Throws Error
/// for an axis of size 0.
Tensor argmax(const Tensor& x, std::int64_t axis);

}  // namespace maskgrad::ops
