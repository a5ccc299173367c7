// Numbers to weigh outputs with. Internal to src/tensor/check.
#pragma once

#include <algorithm>

#include <maskgrad/tensor/random.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad {

/// float64, uniform in [0.5, 1.5): the same for the same name and seed.
inline Tensor random_weights(const char* name, std::uint64_t seed, const Shape& shape) {
  Random random(seed, stream_of(name));
  Tensor weights = Tensor::empty(shape, DType::kFloat64);
  std::generate_n(weights.data<double>(), weights.numel(),
                  [&] { return random.uniform(0.5, 1.5); });
  return weights;
}

}  // namespace maskgrad
