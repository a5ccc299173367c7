// Scalars of any dtype that one kernel reads. For `.cu` files.
#pragma once

#include <algorithm>
#include <span>

#include <maskgrad/tensor/cuda/launch.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::cuda {

/// Where up to kMost scalars are, as an argument of a kernel.
struct Scalars {
  static constexpr unsigned kMost = 32;

  const void* at[kMost];
  DType dtype[kMost];
  unsigned count;

  explicit Scalars(std::span<const Tensor> scalars) : at{}, dtype{}, count(0) {
    for (const Tensor& scalar : scalars) {
      dtype[count] = scalar.dtype();
      dispatch_dtype(AllTypes{}, scalar.dtype(), "device",
                     [&]<class T>(T) { at[count] = scalar.device_data<T>(); });
      ++count;
    }
  }

  /// As a double: integers up to 2^53 are exact.
  __device__ double operator[](unsigned i) const {
    switch (dtype[i]) {
      case DType::kFloat32:
        return static_cast<double>(*static_cast<const float*>(at[i]));
      case DType::kFloat64:
        return *static_cast<const double*>(at[i]);
      case DType::kInt32:
        return static_cast<double>(*static_cast<const std::int32_t*>(at[i]));
      case DType::kInt64:
        return static_cast<double>(*static_cast<const std::int64_t*>(at[i]));
      case DType::kBool:
        return *static_cast<const bool*>(at[i]) ? 1 : 0;
    }
    return 0;
  }
};

/// Calls f(Scalars) for all of them, kMost at a time; at least once.
template <class F>
void for_each_chunk(std::span<const Tensor> scalars, F f) {
  do {
    const std::size_t count = std::min<std::size_t>(scalars.size(), Scalars::kMost);
    f(Scalars(scalars.first(count)));
    scalars = scalars.subspan(count);
  } while (!scalars.empty());
}

}  // namespace maskgrad::cuda
