// Entries of a dimension, taken out of a value and put back. Internal to src/ops.
#pragma once

#include <cstdint>

#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::ops {

/// Entries begin, begin + step, ... of an axis, `count` of them.
struct AxisPart {
  int axis;
  std::int64_t begin, count, step;
};

/// The part of x. Throws Error "[name] has no CUDA kernel".
Tensor take_part(const char* name, const AxisPart& part, const Tensor& x);

/// Writes x to the part of y, which elsewhere stays as it is. Throws Error as take_part().
void put_part(const char* name, const AxisPart& part, const Tensor& x, Tensor& y);

}  // namespace maskgrad::ops
