// What a parameter starts as.
#pragma once

#include <functional>

#include <maskgrad/tensor/random.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {

/// Fills a float64 tensor. Draws in double, so that a model starts from the same values, rounded,
/// in either dtype.
using Initializer = std::function<void(Tensor& values, Random& random)>;

Initializer zeros();
Initializer ones();
/// Throws Error when it is called, for a value that float64 does not hold.
Initializer constant(Scalar value);
/// Uniform in [-a, a), a = sqrt(6 / (fan_in + fan_out)); a matrix is [fan_in, fan_out] (Glorot &
/// Bengio 2010). Throws Error for a parameter that is not a matrix.
Initializer glorot_uniform();

}  // namespace maskgrad
