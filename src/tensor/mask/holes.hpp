// Reading and writing the masked places of values.
#pragma once

#include <utility>

#include <maskgrad/tensor/cuda/kernel_slot.hpp>
#include <maskgrad/tensor/mask/sequence_mask.hpp>

namespace maskgrad {

/// x [B, S, ...], the mask [B, S] on the host, a value that fits x's dtype.
inline constinit CudaKernel<void(Tensor& x, const SequenceMask& mask, Scalar value)> kFillHolesCuda{
    "fill_holes"};

/// Which elements of a value [B, S, ...] are at positions that its mask keeps. Without a mask, all.
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
/// Throws Error when the value does not fit x's dtype, when x does not begin with the mask's [B,
/// S], and for a mask that says nothing.
void fill_holes(Tensor& x, const SequenceMask& mask, Scalar value);

/// True when every element in the holes of the mask has the bits of `value`, so 0 is not -0.
/// Throws Error as fill_holes(), and when x [B, S, ...] is not on the CPU.
bool holes_hold(const Tensor& x, const SequenceMask& mask, Scalar value);

/// True when no element in the holes of the mask is Inf or NaN. Throws Error unless x [B, S, ...]
/// is floating, is on the CPU and begins with the mask's [B, S], and for a mask that says nothing.
bool holes_are_finite(const Tensor& x, const SequenceMask& mask);

/// Writes 0 (false) into the holes of x. Does nothing when the mask says nothing. If others share
/// the memory of x, x becomes a copy first. On the CPU no copy is made when the holes hold 0
/// already.
void drop_holes(Tensor& x, const SequenceMask& mask);

/// A copy of x with 0 (false) in the holes. Returns x itself when the mask says nothing.
Tensor without_holes(const Tensor& x, const SequenceMask& mask);

}  // namespace maskgrad
