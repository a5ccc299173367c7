#include <algorithm>
#include <cmath>

#include <maskgrad/layers/positions.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/nn/embedding.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/tensor/print.hpp>

namespace maskgrad {
namespace {

void check_positions(const char* name, const Variable& x) {
  check(x.rank() == 3, name, "needs [B, S, D], got {}", x.shape());
}

template <class T>
void write_waves(double position, std::int64_t features, double base, T* to) {
  for (std::int64_t j = 0; j < features; ++j) {
    const auto exponent = static_cast<double>(j - j % 2) / static_cast<double>(features);
    const double angle = position * std::pow(base, -exponent);
    to[j] = static_cast<T>(j % 2 == 0 ? std::sin(angle) : std::cos(angle));
  }
}

// P [B, S, D] for positions [B, S], on the host.
Tensor waves(const Tensor& positions, std::int64_t features, double base, DType dtype) {
  Tensor y = Tensor::empty(positions.shape().concat({features}), dtype);
  const std::int64_t* const p = positions.data<std::int64_t>();
  dispatch_dtype(FloatingTypes{}, dtype, "SinusoidalPositions", [&]<class T>(T) {
    T* const to = y.data<T>();
    parallel_for(positions.numel(), least_for(64 * features),
                 [&](std::int64_t i, std::int64_t end) {
                   for (; i < end; ++i) {
                     write_waves(static_cast<double>(p[i]), features, base, to + i * features);
                   }
                 });
  });
  return y;
}

}  // namespace

LearnedPositions::LearnedPositions(std::int64_t length, std::int64_t features)
    : Layer("LearnedPositions", MaskRule::kKeeps),
      table_(parameter("table", {length, features}, normal(0, 0.02))) {}

Variable LearnedPositions::forward(const Variable& x, Pass& pass) {
  check_positions("LearnedPositions", x);
  const Tensor positions = pass.positions(x);
  const std::int64_t length = table_.shape()[0];
  pass.limit_positions(length);
  const auto numbers = positions.values<std::int64_t>();
  const std::int64_t most = numbers.empty() ? 0 : *std::max_element(numbers.begin(), numbers.end());
  check(most < length, "LearnedPositions", "has {}, got a sequence of {}",
        count_of(length, "position"), with_commas(most + 1));
  return ops::add(x, ops::embedding(table_, Variable(positions)));
}

SinusoidalPositions::SinusoidalPositions(double base)
    : Layer("SinusoidalPositions", MaskRule::kKeeps), base_(base) {
  check(base > 0 && std::isfinite(base), "SinusoidalPositions",
        "the base must be above 0 and finite, got {}", base);
}

Variable SinusoidalPositions::forward(const Variable& x, Pass& pass) {
  check_positions("SinusoidalPositions", x);
  const Tensor added = waves(pass.positions(x), x.dim(2), base_, x.dtype());
  return ops::add(x, Variable(added.to(x.device())));
}

}  // namespace maskgrad
