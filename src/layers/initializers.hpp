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
/// Normal with this mean and standard deviation. Throws Error unless the mean is finite, and stddev
/// finite and at least 0.
Initializer normal(double mean = 0.0, double stddev = 0.02);
/// Normal, but what is further than 2 stddev from the mean is drawn again, as in TensorFlow and
/// BERT (Devlin et al. 2019). So the standard deviation of what is drawn is 0.88 stddev. Throws
/// Error as normal().
Initializer truncated_normal(double mean = 0.0, double stddev = 0.02);
/// Uniform in [-a, a), a = sqrt(6 / (fan_in + fan_out)); a matrix is [fan_in, fan_out] (Glorot &
/// Bengio 2010). Throws Error for a parameter that is not a matrix.
Initializer glorot_uniform();
/// Normal with mean 0 and standard deviation sqrt(2 / fan_in), for layers before relu; a matrix is
/// [fan_in, fan_out] (He et al. 2015, "Delving deep into rectifiers"). Throws Error for a parameter
/// that is not a matrix.
Initializer he_normal();
/// The same deviation, uniform in [-a, a), a = sqrt(6 / fan_in).
Initializer he_uniform();

}  // namespace maskgrad
