// Entries of a dimension, taken out of a value and put back. Internal to src/ops.
#pragma once

#include <cstdint>

#include <maskgrad/tensor/cuda/kernel_slot.hpp>

namespace maskgrad::ops {

/// Entries begin, begin + step, ... of an axis, `count` of them.
struct AxisPart {
  int axis;
  std::int64_t begin, count, step;
};

/// Which of two tensors is the whole; the other is its part.
enum class Copies : std::uint8_t { kToPart, kToWhole };
using PartKernel =
    CudaKernel<void(Copies way, const AxisPart& part, const Tensor& from, Tensor& to)>;
/// The operations that take parts, or put them, and the name that errors have.
inline constinit PartKernel kConcatCuda{"concat"}, kSliceCuda{"slice"}, kSplitCuda{"split"};

/// The part of x. Throws Error "[name] has no CUDA kernel".
Tensor take_part(const PartKernel& op, const AxisPart& part, const Tensor& x);

/// Writes x to the part of y, which elsewhere stays as it is. Throws Error as take_part().
void put_part(const PartKernel& op, const AxisPart& part, const Tensor& x, Tensor& y);

}  // namespace maskgrad::ops
