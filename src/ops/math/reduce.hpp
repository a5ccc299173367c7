// Sums, means and maxima along dimensions.
#pragma once

#include <initializer_list>
#include <span>

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

// `axes` may be negative (counted from the end); an empty list means all. With keepdims the reduced
// dimensions stay, as 1. A mask [B, S] is kept when both of its dimensions stay; otherwise these
// throw Error, because they would read masked places: drop_mask() on purpose, or use a masked form.

/// Sum of the elements along `axes`; 0 over nothing.
Variable sum(const Variable& x, std::span<const std::int64_t> axes = {}, bool keepdims = false);
Variable sum(const Variable& x, std::initializer_list<std::int64_t> axes, bool keepdims = false);
/// Mean of the elements along `axes`. Throws Error over nothing.
Variable mean(const Variable& x, std::span<const std::int64_t> axes = {}, bool keepdims = false);
Variable mean(const Variable& x, std::initializer_list<std::int64_t> axes, bool keepdims = false);
/// The largest element along one axis; the first of equal ones gets the gradient. NaN wins.
/// Throws Error over nothing.
Variable max(const Variable& x, std::int64_t axis, bool keepdims = false);
/// Index (int64) of the largest element along one axis, the first of equal ones. No gradient.
Tensor argmax(const Tensor& x, std::int64_t axis);

}  // namespace maskgrad::ops
