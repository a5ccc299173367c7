// How a kernel finds the elements of several tensors that belong together. For `.cu` files.
#pragma once

#include <algorithm>
#include <cstdint>

#include <maskgrad/tensor/cuda/launch.hpp>
#include <maskgrad/tensor/shape.hpp>

namespace maskgrad::ops::detail {

/// Where elements stand in each of some tensors: element i of the walk, in row-major order, over
/// axes that all of them have. Axes, the innermost first. Neighbours are one where all tensors step
/// over them alike.
template <int tensors>
struct Walk {
  std::int64_t rank = 0;
  std::int64_t sizes[Shape::kMaxRank] = {};
  std::int64_t steps[tensors][Shape::kMaxRank] = {};  // elements; 0 where one is repeated

  /// Adds an axis around those before.
  void add(std::int64_t size, const std::int64_t (&step)[tensors]) {
    if (size == 1) return;
    if (rank > 0 && continues_last(step)) {
      sizes[rank - 1] *= size;
      return;
    }
    sizes[rank] = size;
    for (int k = 0; k < tensors; ++k) steps[k][rank] = step[k];
    ++rank;
  }
  std::int64_t count() const {
    std::int64_t product = 1;
    for (int axis = 0; axis < rank; ++axis) product *= sizes[axis];
    return product;
  }
  /// Where element i stands in each tensor.
  __device__ void find(std::int64_t i, std::int64_t (&at)[tensors]) const {
    for (int k = 0; k < tensors; ++k) at[k] = 0;
    for (int axis = 0; axis < rank; ++axis) {
      const std::int64_t index = i % sizes[axis];
      i /= sizes[axis];
      for (int k = 0; k < tensors; ++k) at[k] += index * steps[k][axis];
    }
  }

 private:
  bool continues_last(const std::int64_t (&step)[tensors]) const {
    for (int k = 0; k < tensors; ++k) {
      if (step[k] != steps[k][rank - 1] * sizes[rank - 1]) return false;
    }
    return true;
  }
};

/// From the elements of an output to those of tensors that broadcast to it.
template <int tensors>
Walk<tensors> walk_of(const Shape& output, const Shape* const (&shapes)[tensors]) {
  Walk<tensors> walk;
  std::int64_t strides[tensors], steps[tensors];
  std::fill_n(strides, tensors, 1);
  for (int from_end = 1; from_end <= output.rank(); ++from_end) {
    const std::int64_t size = output[output.rank() - from_end];
    for (int k = 0; k < tensors; ++k) {
      const Shape& shape = *shapes[k];
      const std::int64_t own = from_end <= shape.rank() ? shape[shape.rank() - from_end] : 1;
      steps[k] = own == size ? strides[k] : 0;
      strides[k] *= own;
    }
    walk.add(size, steps);
  }
  return walk;
}

}  // namespace maskgrad::ops::detail
