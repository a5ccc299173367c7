// What the tape does to gradients between two rules: add, and sum what was broadcast.
#pragma once

#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {

/// total += term, element by element; the same shape and floating dtype.
void add_into(Tensor& total, const Tensor& term);

/// Sums `x` over the dimensions along which `shape` was broadcast to x.shape(): dimension by
/// dimension, the outermost first, each in the order of sum_rows(). Throws Error "[name] ..." when
/// `shape` does not broadcast to x.shape().
Tensor sum_to(const char* name, const Tensor& x, const Shape& shape);
/// The same into a tensor of that shape.
void sum_into(const char* name, const Tensor& x, Tensor& sums);

}  // namespace maskgrad
