// Operations that put masks on values. True means keep. Masked places are overwritten, never
// multiplied by 0.
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

/// y = x where keep is true, `fill` elsewhere; dx = g where true, exactly 0 elsewhere.
/// x [...] of any dtype, keep bool, broadcasting to x -> [...]. The mask of x is kept.
/// Throws Error when keep does not broadcast to x, or `fill` does not fit x's dtype (see Scalar).
Variable keep_where(const Variable& x, const Tensor& keep, Scalar fill = 0.0);

/// x with `mask` on it, and `fill` at the holes. Later operations pass the mask on.
/// x [B, S, ...], mask [B, S] -> [B, S, ...]. Returns x itself for an undefined mask.
/// Throws Error when x already carries a mask that leaves out a position of `mask`, and when `fill`
/// does not fit x's dtype.
Variable with_mask(const Variable& x, const SequenceMask& mask, Scalar fill = 0.0);

/// x with `fill` at the holes of its own mask, and without the mask. From here on `fill` counts
/// like any other number. Returns x itself when it carries no mask. Throws Error when `fill` does
/// not fit x's dtype.
Variable fill_masked(const Variable& x, Scalar fill = 0.0);

/// Two values that carry the same mask, or none, for an operation on both.
struct CommonMask {
  Variable a, b;
};
/// Both values with a mask of the positions that exist in both. Each value is 0 at all other
/// positions. a, b [B, S, ...]; a value without a mask exists everywhere. Throws Error for masks of
/// different shapes.
CommonMask intersect_masks(const Variable& a, const Variable& b);
/// Both values with a mask of the positions that exist in either. Each value is 0 at its own holes.
/// If a value carries no mask, every position exists, and the results carry none. Throws Error for
/// masks of different shapes.
CommonMask unite_masks(const Variable& a, const Variable& b);

}  // namespace maskgrad::ops
