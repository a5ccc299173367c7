// Reading and writing the masked places of values.
#pragma once

#include <maskgrad/tensor/cuda/kernel_slot.hpp>
#include <maskgrad/tensor/mask/sequence_mask.hpp>

namespace maskgrad {

/// x [B, S, ...], the mask [B, S] on the host, a value that fits x's dtype.
inline constinit CudaKernel<void(Tensor& x, const SequenceMask& mask, Scalar value)> kFillHolesCuda{
    "fill_holes"};

/// True when this element of a value of `shape` [B, S, ...] is at a position that the mask, if
/// there is one, does not keep.
bool is_hole(const SequenceMask& mask, const Shape& shape, std::int64_t element);

/// bool of `shape` [B, S, ...]: whether an element is_hole().
Tensor holes_of(const SequenceMask& mask, const Shape& shape);

/// Writes `value` to every element of x [B, S, ...] at a position that the mask does not keep.
/// Throws Error when it does not fit x's dtype.
void fill_holes(Tensor& x, const SequenceMask& mask, Scalar value);

/// True when every element in the holes of the mask is `value`. Throws Error as fill_holes().
bool holes_hold(const Tensor& x, const SequenceMask& mask, Scalar value);

/// True when no element in the holes of the mask is Inf or NaN. x: floating.
bool holes_are_finite(const Tensor& x, const SequenceMask& mask);

/// x, or when `mask` is defined a copy of it with 0 (false) in the holes.
Tensor without_holes(const Tensor& x, const SequenceMask& mask);

}  // namespace maskgrad
