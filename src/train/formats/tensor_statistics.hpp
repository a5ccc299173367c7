// What the numbers of a tensor are like.
#pragma once

#include <cstdint>
#include <optional>

#include <maskgrad/tensor/tensor.hpp>
#include <maskgrad/train/formats/safetensors.hpp>

namespace maskgrad {

/// `min`, `max`, `mean` and `std` are of the finite values: 0 where there are none. `std` is that
/// of all values, not of a sample.
struct TensorStatistics {
  std::int64_t count = 0, zeros = 0, not_finite = 0;
  double min = 0, max = 0, mean = 0, std = 0;
};

/// Computed in double. No sum overflows or vanishes, whatever the numbers. Of equal numbers `std`
/// is 0. Nothing for a dtype whose elements are no plain numbers of 8 to 64 bits.
std::optional<TensorStatistics> statistics_of(const SafetensorsEntry& entry);
/// The same of a tensor on the CPU, of any dtype.
TensorStatistics statistics_of(const Tensor& tensor);

}  // namespace maskgrad
