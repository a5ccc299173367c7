#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include <maskgrad/tensor/cpu/pool_allocator.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/train/optim/gradient_norm.hpp>

namespace maskgrad {
namespace {

constexpr std::size_t kChunk = 8192;

// Adds the upper half to the lower one until a single number is left.
double tree_sum(std::span<double> terms) {
  for (std::size_t n = terms.size(); n > 1;) {
    const std::size_t half = (n + 1) / 2;
    for (std::size_t i = half; i < n; ++i) terms[i - half] += terms[i];
    n = half;
  }
  return terms.empty() ? 0.0 : terms[0];
}

// Of the elements times `scale`. In lanes, which the compiler keeps in vectors.
template <class T>
double sum_of_squares(std::span<const T> x, double scale) {
  std::array<double, 32> lanes{};
  std::size_t i = 0;
  for (; i + lanes.size() <= x.size(); i += lanes.size()) {
    for (std::size_t lane = 0; lane < lanes.size(); ++lane) {
      const double value = scale * static_cast<double>(x[i + lane]);
      lanes[lane] += value * value;
    }
  }
  for (std::size_t lane = 0; i < x.size(); ++i, ++lane) {
    const double value = scale * static_cast<double>(x[i]);
    lanes[lane] += value * value;
  }
  return tree_sum(lanes);
}

template <class T>
double norm_of_scaled(std::span<const T> x, double scale) {
  PoolVector<double> sums((x.size() + kChunk - 1) / kChunk);
  parallel_for(std::ssize(sums), 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      const std::size_t first = i * kChunk;
      sums[i] = sum_of_squares(x.subspan(first, std::min(kChunk, x.size() - first)), scale);
    }
  });
  return std::sqrt(tree_sum(sums));
}

// Where squares overflow or vanish: those of numbers of about 1 do neither.
template <class T>
double careful_norm(std::span<const T> x) {
  double largest = 0;
  for (const T value : x) {
    if (!std::isfinite(value)) return std::abs(static_cast<double>(value));
    largest = std::max(largest, std::abs(static_cast<double>(value)));
  }
  if (largest == 0) return 0;
  // Neither power may be denormal.
  const int exponent = std::clamp(std::ilogb(largest), -1000, 1000);
  return std::ldexp(norm_of_scaled(x, std::ldexp(1.0, -exponent)), exponent);
}

}  // namespace

double gradient_norm(ParameterBuffer& parameters) {
  constexpr const char* kName = "gradient_norm";
  return dispatch_device(parameters.values().device(), kName, [&] {
    return dispatch_dtype(FloatingTypes{}, parameters.dtype(), kName, [&]<class T>(T) {
      const std::span<const T> gradients = parameters.read_gradients<T>();
      const double norm = norm_of_scaled(gradients, 1.0);
      // Beyond these bounds squares may have been lost.
      return norm > 1e-140 && norm < 1e150 ? norm : careful_norm(gradients);
    });
  });
}

double clip_factor(double norm, double clip_norm) {
  return std::min(1.0, clip_norm / (norm + 1e-6));
}

}  // namespace maskgrad
