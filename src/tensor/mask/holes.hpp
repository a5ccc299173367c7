// Reading and writing the masked places of values.
#pragma once

#include <utility>

#include <maskgrad/tensor/cuda/kernel_slot.hpp>
#include <maskgrad/tensor/mask/sequence_mask.hpp>

namespace maskgrad {

/// x [B, S, ...], the mask [B, S] on the host, a value that fits x's dtype.
inline constinit CudaKernel<void(Tensor& x, const SequenceMask& mask, Scalar value)> kFillHolesCuda{
    "fill_holes"};

/// Which elements of a value [B, S, ...] are at positions that its mask keeps; all without one.
class KeptPlaces {
 public:
  KeptPlaces() = default;
  KeptPlaces(SequenceMask mask, const Shape& shape)
      : mask_(std::move(mask)),
        of_position_(mask_.defined() ? shape.slice(2, shape.rank()).numel() : 0) {}

  const SequenceMask& mask() const { return mask_; }
  bool operator[](std::int64_t element) const {
    return !mask_.defined() || mask_.bits().data<bool>()[element / of_position_];
  }

 private:
  SequenceMask mask_;
  std::int64_t of_position_ = 0;  // elements
};

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

/// Writes 0 into the holes of the mask, if there is one, so that a NaN there is gone. What others
/// hold too is copied first, unless its holes hold 0 already; on a device nobody looks.
void drop_holes(Tensor& x, const SequenceMask& mask);

/// x, or when `mask` is defined a copy of it with 0 (false) in the holes.
Tensor without_holes(const Tensor& x, const SequenceMask& mask);

}  // namespace maskgrad
