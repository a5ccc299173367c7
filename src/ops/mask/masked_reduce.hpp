// Means and maxima over the places that count. What stands at the others is never read, nor is it
// counted; over nothing the result is exactly 0, and sends exactly 0 back.
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

/// Mean along one axis of the elements where `keep` is true. x [...], keep bool, broadcasting to x
/// -> x's shape without the axis, or with 1 there. Adds in the order of positions, so that padding
/// further changes no bit. What the mask [B, S] of x leaves out does not count either; that mask
/// goes on where the axis is a later one, and ends where it is S. Throws Error when keep does not
/// broadcast to x, or the axis is B of a masked x.
Variable masked_mean(const Variable& x, const Tensor& keep, std::int64_t axis,
                     bool keepdims = false);

/// Over what the mask of x keeps, or over everything when it carries none.
Variable masked_mean(const Variable& x, std::int64_t axis, bool keepdims = false);

/// The largest of the elements where `keep` is true, likewise; the first of equal ones gets the
/// gradient, and NaN wins.
Variable masked_max(const Variable& x, const Tensor& keep, std::int64_t axis,
                    bool keepdims = false);
Variable masked_max(const Variable& x, std::int64_t axis, bool keepdims = false);

}  // namespace maskgrad::ops
