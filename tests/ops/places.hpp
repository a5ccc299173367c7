// Which element of a value stands where.
#pragma once

#include <numeric>
#include <vector>

#include "support/tensors.hpp"

namespace maskgrad::test {

/// 0, 1, 2, ... in row-major order.
inline Tensor counted(const Shape& shape, DType dtype = DType::kFloat64) {
  std::vector<double> values(static_cast<std::size_t>(shape.numel()));
  std::iota(values.begin(), values.end(), 0);
  return make(values, shape, dtype);
}

/// The element of a value of `shape` that stands at element i of `to`, which it broadcasts to.
inline std::int64_t place(const Shape& shape, std::int64_t i, const Shape& to) {
  std::int64_t result = 0, step = 1;
  for (int axis = 1; axis <= shape.rank(); ++axis) {
    result += shape.dim(-axis) == 1 ? 0 : i % to.dim(-axis) * step;
    step *= shape.dim(-axis);
    i /= to.dim(-axis);
  }
  return result;
}

}  // namespace maskgrad::test
