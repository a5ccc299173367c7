// What the numbers of a tensor in a file are like.
#pragma once

#include <cstdint>
#include <optional>

#include <maskgrad/train/formats/safetensors.hpp>

namespace maskgrad::apps {

/// `min`, `max`, `mean` and `std` are of the finite values: 0 where there are none. `std` is that
/// of all values, not of a sample.
struct TensorStatistics {
  std::int64_t count = 0, zeros = 0, not_finite = 0;
  double min = 0, max = 0, mean = 0, std = 0;
};

/// Computed in double. Nothing for a dtype whose elements are no plain numbers of 8 to 64 bits.
std::optional<TensorStatistics> statistics_of(const SafetensorsEntry& entry);

}  // namespace maskgrad::apps
