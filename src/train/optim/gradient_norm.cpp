#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include <maskgrad/ops/functors/scalar_words.hpp>
#include <maskgrad/tensor/cpu/pool_allocator.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/train/optim/gradient_norm.hpp>

namespace maskgrad {
namespace {

using ops::math::multiply_add;

using Index = std::size_t;

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

// Of the elements times `scale`. In lanes, which the compiler keeps in vectors.
template <class T>
double sum_of_squares(std::span<const T> x, double scale) {
  std::array<double, 32> lanes{};
  std::size_t i = 0;
  for (; i + lanes.size() <= x.size(); i += lanes.size()) {
    for (std::size_t lane = 0; lane < lanes.size(); ++lane) {
      const double value = scale * static_cast<double>(x[i + lane]);
      lanes[lane] = multiply_add(value, value, lanes[lane]);
    }
  }
  for (std::size_t lane = 0; i < x.size(); ++i, ++lane) {
    const double value = scale * static_cast<double>(x[i]);
    lanes[lane] = multiply_add(value, value, lanes[lane]);
  }
  return tree_sum(lanes);
}

// Of each chunk.
Tensor sums_of_squares(const Tensor& x, double scale) {
  const std::int64_t chunks = (x.numel() + kChunk - 1) / kChunk;
  Tensor sums = Tensor::empty({chunks}, DType::kFloat64, x.device());
  const auto on_cpu = [&] {
    dispatch_dtype(FloatingTypes{}, x.dtype(), "gradient_norm", [&]<class T>(T) {
      const std::span<const T> all = x.values<T>();
      double* const sum = sums.data<double>();
      parallel_for(chunks, 1, [&](std::int64_t i, std::int64_t end) {
        for (; i < end; ++i) {
          const std::int64_t first = i * kChunk, count = std::min(kChunk, x.numel() - first);
          sum[i] = sum_of_squares(all.subspan(Index(first), Index(count)), scale);
        }
      });
    });
  };
  dispatch_device(x.device(), kSumSquaresCuda, on_cpu, x, scale, sums);
  return sums;
}

// Where the sums of the chunks come from a device, the host waits for them.
double norm_of_scaled(const Tensor& x, double scale) {
  Tensor sums = sums_of_squares(x, scale).to(Device{});
  return std::sqrt(tree_sum({sums.data<double>(), Index(sums.numel())}));
}

// Where squares overflow or vanish: those of numbers of about 1 do neither.
double careful_norm(const Tensor& gradients) {
  const Tensor x = gradients.to(Device{});
  return dispatch_dtype(FloatingTypes{}, x.dtype(), "gradient_norm", [&]<class T>(T) {
    double largest = 0;
    for (const T value : x.values<T>()) {
      if (!std::isfinite(value)) return std::abs(static_cast<double>(value));
      largest = std::max(largest, std::abs(static_cast<double>(value)));
    }
    if (largest == 0) return 0.0;
    // Neither power may be denormal.
    const int exponent = std::clamp(std::ilogb(largest), -1000, 1000);
    return std::ldexp(norm_of_scaled(x, std::ldexp(1.0, -exponent)), exponent);
  });
}

}  // namespace

double gradient_norm(ParameterBuffer& parameters) {
  const Tensor& gradients = parameters.read_gradients();
  const double norm = norm_of_scaled(gradients, 1.0);
  // Beyond these bounds squares may have been lost.
  return norm > 1e-140 && norm < 1e150 ? norm : careful_norm(gradients);
}

Tensor clip_late(ParameterBuffer& parameters, double gradient_scale, double most,
                 LateUpdate& late) {
  const Tensor& gradients = parameters.read_gradients();
  check(gradients.dtype() == DType::kFloat32, "clip_norm", "is late for float32 only, not for {}",
        to_string(gradients.dtype()));
  Tensor sums = sums_of_squares(gradients, 1.0);
  Tensor norm = Tensor::empty({}, DType::kFloat64, gradients.device());
  dispatch_device(
      gradients.device(), kClipCuda, [] {}, gradient_scale, most, sums, late, norm);
  return norm;
}

}  // namespace maskgrad
