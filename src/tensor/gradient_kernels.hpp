// What the tape does to gradients between two rules: add, sum what was broadcast, drop.
#pragma once

#include <maskgrad/tensor/mask.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {

/// total += term, element by element; the same shape and floating dtype.
void add_into(Tensor& total, const Tensor& term);

/// Sums `x` over the dimensions along which `shape` was broadcast to x.shape(). The order of
/// addition depends on the shapes only. Throws Error "[name] ..." when `shape` does not broadcast
/// to x.shape().
Tensor sum_to(const char* name, const Tensor& x, const Shape& shape);

/// Writes `value` to every element of x [B, S, ...] at a position that the mask does not keep.
void fill_holes(Tensor& x, const SequenceMask& mask, double value);

/// True when every element in the holes of the mask is `value`.
bool holes_hold(const Tensor& x, const SequenceMask& mask, double value);

/// x, or when `mask` is defined a copy of it with 0 (false) in the holes.
Tensor without_holes(const Tensor& x, const SequenceMask& mask);

}  // namespace maskgrad
