// A value as [outer, along, inner] around one axis, as it lies in memory. Internal to src/ops.
#pragma once

#include <maskgrad/tensor/shape.hpp>

namespace maskgrad::ops {

/// The elements before, along and behind an axis.
struct Around {
  std::int64_t outer, along, inner;

  /// How many lines of elements run along the axis.
  constexpr std::int64_t lines() const { return outer * inner; }
  /// The place of element j of a line.
  constexpr std::int64_t place(std::int64_t line, std::int64_t j) const {
    return (line / inner * along + j) * inner + line % inner;
  }
};

inline Around around(const Shape& shape, int axis) {
  return {shape.slice(0, axis).numel(), shape[axis], shape.slice(axis + 1, shape.rank()).numel()};
}

}  // namespace maskgrad::ops
