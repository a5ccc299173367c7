// What the tape does to gradients between two rules: add, and sum what was broadcast.
#pragma once

#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {

/// total += term, element by element; the same shape and floating dtype.
void add_into(Tensor& total, const Tensor& term);

/// Sums `x` over the dimensions along which `shape` was broadcast to x.shape(). The order of
/// addition depends on the shapes only. Throws Error "[name] ..." when `shape` does not broadcast
/// to x.shape().
Tensor sum_to(const char* name, const Tensor& x, const Shape& shape);

}  // namespace maskgrad
