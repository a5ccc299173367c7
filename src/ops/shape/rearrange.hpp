// The same elements in another arrangement.
#pragma once

#include <span>

#include <maskgrad/tensor/autograd/variable.hpp>
#include <maskgrad/tensor/cuda/kernel_slot.hpp>

namespace maskgrad::ops {

/// Dimension d of y is dimension axes[d] of x.
inline constinit CudaKernel<void(std::span<const std::int64_t> axes, const Tensor& x, Tensor& y)>
    kPermuteCuda{"permute"};

/// The same elements in row-major order under another shape, without a copy. One dimension may be
/// -1: it follows from the others. A mask [B, S] is kept while the shape still starts with B, S.
/// Throws Error when the number of elements differs, or when the new shape has no place for the
/// mask.
Variable reshape(const Variable& x, std::span<const std::int64_t> dims);
Variable reshape(const Variable& x, std::initializer_list<std::int64_t> dims);

/// y[i_p0, i_p1, ...] = x[i_0, i_1, ...]: dimension d of y is dimension axes[d] of x. A mask is
/// kept while the first two dimensions stay where they are. Throws Error unless `axes` is a
/// permutation, or when the positions of a mask are moved.
Variable permute(const Variable& x, std::span<const std::int64_t> axes);
Variable permute(const Variable& x, std::initializer_list<std::int64_t> axes);

/// x repeated to `shape` by the rule of broadcasting. Throws Error when x does not broadcast to
/// `shape`, or when `shape` has no place for the mask of x.
Variable broadcast_to(const Variable& x, const Shape& shape);

/// broadcast_to() for tensors.
Tensor expand(const Tensor& x, const Shape& shape);
/// permute() for tensors.
Tensor permuted(const Tensor& x, std::span<const std::int64_t> axes);

}  // namespace maskgrad::ops
