// Operations that put masks on values. True means keep; what is masked is written, never
// multiplied.
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

/// y = x where keep is true, `fill` elsewhere; dx = g where true, exactly 0 elsewhere.
/// x [...] of any dtype, keep bool, broadcasting to x -> [...]. The mask of x is kept.
/// Throws Error when keep does not broadcast to x, or `fill` does not fit x's dtype (see Scalar).
Variable keep_where(const Variable& x, const Tensor& keep, Scalar fill = 0.0);

/// x with `mask` on it, and `fill` written at its holes: from here on the mask follows.
/// x [B, S, ...], mask [B, S] -> [B, S, ...]; x itself for a mask that says nothing. Throws Error
/// when x carries a mask already that does not keep all of these positions, or `fill` does not fit
/// x's dtype.
Variable with_mask(const Variable& x, const SequenceMask& mask, Scalar fill = 0.0);

/// x with `fill` written at the holes of its own mask, which ends with that: from here on `fill`
/// counts like any other number. x itself when it has no mask. Throws Error when `fill` does not
/// fit x's dtype.
Variable fill_masked(const Variable& x, Scalar fill = 0.0);

/// Two values that carry the same mask, for an operation on both.
struct CommonMask {
  Variable a, b;
};
/// Only positions that exist in both: each gets 0 where the other has a hole.
/// a, b [B, S, ...], one of them at least with a mask. Throws Error for masks of other shapes.
CommonMask intersect_masks(const Variable& a, const Variable& b);
/// Positions that exist in either: where one has a hole, it counts as 0.
CommonMask unite_masks(const Variable& a, const Variable& b);

}  // namespace maskgrad::ops
