#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include <maskgrad/tensor/cpu/pool_allocator.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/train/gradient_norm.hpp>

namespace maskgrad {
namespace {

constexpr std::int64_t kChunk = 8192;

// Adds the upper half to the lower one until a single number is left.
double tree_sum(std::span<double> terms) {
  for (std::size_t n = terms.size(); n > 1;) {
    const std::size_t half = (n + 1) / 2;
    for (std::size_t i = half; i < n; ++i) terms[i - half] += terms[i];
    n = half;
  }
  return terms.empty() ? 0.0 : terms[0];
}

// In lanes, which the compiler keeps in vectors.
template <class T>
double sum_of_squares(std::span<const T> x) {
  std::array<double, 32> lanes{};
  std::size_t i = 0;
  for (; i + lanes.size() <= x.size(); i += lanes.size()) {
    for (std::size_t lane = 0; lane < lanes.size(); ++lane) {
      const auto value = static_cast<double>(x[i + lane]);
      lanes[lane] += value * value;
    }
  }
  for (std::size_t lane = 0; i < x.size(); ++i, ++lane) {
    const auto value = static_cast<double>(x[i]);
    lanes[lane] += value * value;
  }
  return tree_sum(lanes);
}

}  // namespace

double gradient_norm(ParameterBuffer& parameters) {
  constexpr const char* kName = "gradient_norm";
  const std::int64_t count = parameters.values().numel();
  PoolVector<double> sums(static_cast<std::size_t>((count + kChunk - 1) / kChunk));
  dispatch_device(parameters.values().device(), kName, [&] {
    dispatch_dtype(FloatingTypes{}, parameters.dtype(), kName, [&]<class T>(T) {
      const std::span<const T> gradients = parameters.read_gradients<T>();
      parallel_for(std::ssize(sums), 1, [&](std::int64_t i, std::int64_t end) {
        for (; i < end; ++i) {
          const std::int64_t first = i * kChunk, size = std::min(kChunk, count - first);
          sums[static_cast<std::size_t>(i)] = sum_of_squares(
              gradients.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(size)));
        }
      });
    });
  });
  return std::sqrt(tree_sum(sums));
}

double clip_factor(double norm, double clip_norm) {
  return std::min(1.0, clip_norm / (norm + 1e-6));
}

}  // namespace maskgrad
