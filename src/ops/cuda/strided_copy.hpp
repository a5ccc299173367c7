// Copies between tensors of a device whose elements stand in another order. For `.cu` files.
// Internal to src/ops.
#pragma once

#include <maskgrad/ops/cuda/walk.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::ops {

/// The elements of one tensor, from `from` on, and those of another, from `to` on, that they go to.
struct StridedCopy {
  std::int64_t from = 0, to = 0;
  detail::Walk<2> walk;  // steps of both, in this order
};

/// Copies elements of any dtype. Requires that no element of `to` is written twice. `name` is for
/// messages.
void copy_strided(const char* name, const StridedCopy& copy, const Tensor& from, Tensor& to);

}  // namespace maskgrad::ops
