// Heads of attention apart, or beside each other in a row.
#pragma once

#include <maskgrad/ops/shape/rearrange.hpp>

namespace maskgrad::test {

/// [B, S, H D] -> [B, H, S, D]
inline Tensor heads_apart(const Tensor& x, std::int64_t heads) {
  const std::int64_t swapped[] = {0, 2, 1, 3};
  return ops::permuted(x.reshape(Shape{x.dim(0), x.dim(1), heads, x.dim(2) / heads}), swapped);
}
/// [B, H, S, D] -> [B, S, H D]
inline Tensor heads_together(const Tensor& x) {
  const std::int64_t swapped[] = {0, 2, 1, 3};
  return ops::permuted(x, swapped).reshape(Shape{x.dim(0), x.dim(2), x.dim(1) * x.dim(3)});
}

}  // namespace maskgrad::test
