// What becomes of gradients between two rules, and of those in a buffer: add, sum what was
// broadcast, scale, clear.
#pragma once

#include <span>

#include <maskgrad/tensor/cuda/kernel_slot.hpp>

namespace maskgrad {

inline constinit CudaKernel<void(Tensor& total, const Tensor& term)> kAddIntoCuda{"add_into"};
/// x [outer, along, inner] -> sums [outer, inner]
inline constinit CudaKernel<void(const Tensor& x, std::int64_t outer, std::int64_t along,
                                 std::int64_t inner, Tensor& sums)>
    kSumAlongCuda{"sum_to"};
inline constinit CudaKernel<void(Tensor& to, const Tensor& from, double factor)> kScaleIntoCuda{
    "scale_into"};
inline constinit CudaKernel<void(Tensor& x, std::span<const std::int64_t> rows)> kClearRowsCuda{
    "clear_rows"};

/// total += term, element by element. Requires floating tensors of one dtype. Throws Error when the
/// shapes differ.
void add_into(Tensor& total, const Tensor& term);

/// to = from * factor, which is rounded to the dtype first. Requires floating tensors of one dtype
/// and shape.
void scale_into(Tensor& to, const Tensor& from, double factor);

/// Writes 0 to these rows of the first dimension, each given any number of times.
void clear_rows(Tensor& x, std::span<const std::int64_t> rows);

/// Sums `x` over the dimensions along which `shape` was broadcast to x.shape(): dimension by
/// dimension, the outermost first, each in the order of sum_rows(). Throws Error "[name] ..." when
/// `shape` does not broadcast to x.shape().
Tensor sum_to(const char* name, const Tensor& x, const Shape& shape);
/// The same into a tensor of that shape.
void sum_into(const char* name, const Tensor& x, Tensor& sums);

}  // namespace maskgrad
