#include "cuda/on_cuda.hpp"

#include <cmath>
#include <cstring>

#include <maskgrad/tensor/cuda/device_memory.hpp>
#include <maskgrad/tensor/cuda/device_pool.hpp>

#include "support/tensors.hpp"
#include "support/ulps.hpp"

namespace maskgrad::test {
namespace {

// 0 for the same bits and for two NaN; more than any limit for 0 and -0.
template <class T>
double distance(T got, T wanted) {
  if (std::memcmp(&got, &wanted, sizeof(T)) == 0) return 0;
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(got) && std::isnan(wanted)) return 0;
    if (got != wanted && std::isfinite(wanted)) {
      return ulps(got, Exact{static_cast<double>(wanted)});
    }
  }
  return std::numeric_limits<double>::infinity();
}

template <class T>
WorstUlps worst(const Tensor& got, const Tensor& wanted) {
  WorstUlps worst;
  for (std::int64_t i = 0; i < got.numel(); ++i) {
    worst.add(distance(got.data<T>()[i], wanted.data<T>()[i]), static_cast<double>(i));
  }
  return worst;
}

}  // namespace

std::uint64_t memory_in_use() { return device_counts().bytes_in_use; }

bool reuses_memory() { return cuda::DevicePool::reuses(); }

::testing::AssertionResult is_near(const Tensor& got, const Tensor& wanted, double ulps) {
  if (got.shape() != wanted.shape() || got.dtype() != wanted.dtype()) {
    return ::testing::AssertionFailure()
           << to_string(got.dtype()) << " " << to_string(got.shape()) << " instead of "
           << to_string(wanted.dtype()) << " " << to_string(wanted.shape());
  }
  const WorstUlps far = dispatch_dtype(AllTypes{}, got.dtype(), "is_near",
                                       [&]<class T>(T) { return worst<T>(got, wanted); });
  if (far.ulps <= ulps) return ::testing::AssertionSuccess();
  const auto i = static_cast<std::size_t>(far.at);
  return ::testing::AssertionFailure() << fmt::format(
             "element {} of {} is {} instead of {}, {} ulps away", i, to_string(got.shape()),
             to_doubles(got)[i], to_doubles(wanted)[i], far.ulps);
}

}  // namespace maskgrad::test
