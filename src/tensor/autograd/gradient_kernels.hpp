// What the tape does to gradients between two rules: add, and sum what was broadcast.
#pragma once

#include <maskgrad/tensor/cuda/kernel_slot.hpp>

namespace maskgrad {

inline constinit CudaKernel<void(Tensor& total, const Tensor& term)> kAddIntoCuda{"add_into"};
/// x [outer, along, inner] -> sums [outer, inner]
inline constinit CudaKernel<void(const Tensor& x, std::int64_t outer, std::int64_t along,
                                 std::int64_t inner, Tensor& sums)>
    kSumAlongCuda{"sum_to"};

/// total += term, element by element. Requires floating tensors of one dtype. Throws Error when the
/// shapes differ.
void add_into(Tensor& total, const Tensor& term);

/// Sums `x` over the dimensions along which `shape` was broadcast to x.shape(): dimension by
/// dimension, the outermost first, each in the order of sum_rows(). Throws Error "[name] ..." when
/// `shape` does not broadcast to x.shape().
Tensor sum_to(const char* name, const Tensor& x, const Shape& shape);
/// The same into a tensor of that shape.
void sum_into(const char* name, const Tensor& x, Tensor& sums);

}  // namespace maskgrad
