// Inputs for the registry's tests.
#pragma once

#include <maskgrad/tensor/random.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::ops {

/// float64, uniform in [low, high).
Tensor sample_uniform(Random& random, const Shape& shape, double low = -2.0, double high = 2.0);
/// bool, true with probability `share`.
Tensor sample_bits(Random& random, const Shape& shape, double share = 0.6);
/// int64, uniform over 0 .. bound-1.
Tensor sample_indices(Random& random, const Shape& shape, std::uint32_t bound);

}  // namespace maskgrad::ops
