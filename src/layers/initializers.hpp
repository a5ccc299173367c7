// What a parameter starts as.
#pragma once

#include <functional>

#include <maskgrad/tensor/random.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {

/// Fills a float64 tensor. The values are drawn in float64 for every dtype, so a float32 model
/// starts from those of a float64 model, rounded.
using Initializer = std::function<void(Tensor& values, Random& random)>;

Initializer zeros();
Initializer ones();
/// Every element is `value`. The initializer throws Error for a value that float64 does not hold.
Initializer constant(Scalar value);
/// Normal with this mean and standard deviation. Throws Error unless the mean is finite, and stddev
/// finite and at least 0.
Initializer normal(double mean = 0.0, double stddev = 0.02);
/// Normal, but a value further than 2 stddev from the mean is drawn again, as in TensorFlow and
/// BERT (Devlin et al. 2019). The standard deviation of the values is therefore 0.88 stddev. Throws
/// Error as normal().
Initializer truncated_normal(double mean = 0.0, double stddev = 0.02);
/// Uniform in [-limit, limit). Throws Error unless the limit is finite and above 0.
Initializer uniform(double limit);
/// Uniform in [-a, a), a = sqrt(6 / (fan_in + fan_out)); a matrix is [fan_in, fan_out] (Glorot &
/// Bengio 2010). The initializer throws Error for a parameter that is not a matrix.
Initializer glorot_uniform();
/// Normal with mean 0 and standard deviation sqrt(2 / fan_in), for layers before relu; a matrix is
/// [fan_in, fan_out] (He et al. 2015, "Delving deep into rectifiers"). The initializer throws Error
/// for a parameter that is not a matrix.
Initializer he_normal();
/// Uniform in [-a, a), a = sqrt(6 / fan_in), which has the same standard deviation. Otherwise as
/// he_normal().
Initializer he_uniform();
/// What `start` gives, times factor. The last matrix of each residual branch takes
/// 1 / sqrt(branches), so that the sum of all branches starts near 1 (Radford et al. 2019, GPT-2).
/// Throws Error for no `start`, and for a factor that is not finite.
Initializer scaled(Initializer start, double factor);

}  // namespace maskgrad
