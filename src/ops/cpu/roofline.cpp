#include <array>
#include <cstddef>

#include <maskgrad/ops/cpu/roofline.hpp>

namespace maskgrad::ops {

namespace {

// As wide as a register: wider ones would not stay there.
#if defined(__AVX512F__)
using Vector [[gnu::vector_size(64)]] = float;
#elif defined(__AVX__)
using Vector [[gnu::vector_size(32)]] = float;
#else
using Vector [[gnu::vector_size(16)]] = float;
#endif
constexpr std::int64_t kLanes = sizeof(Vector) / sizeof(float);

}  // namespace

std::int64_t run_multiply_adds(std::int64_t rounds) {
  constexpr std::int64_t kSums = 12;
  std::array<Vector, kSums> sums{};
  // The compiler knows the sums neither before nor after, so it cannot leave the work out.
  asm volatile("" : "+m"(sums));
  std::array<Vector, kSums> s = sums;
  const Vector x = s[0] * 0.5F + 0.25F;
  for (std::int64_t i = 0; i < rounds; ++i) {
    for (Vector& sum : s) sum = sum * x + x;
  }
  sums = s;
  asm volatile("" : "+m"(sums));
  return rounds * kSums * kLanes;
}

float read_all(std::span<const float> x) {
  constexpr std::size_t kSums = 4;
  Vector sums[kSums] = {};
  const auto* from = reinterpret_cast<const Vector*>(x.data());
  const std::size_t count = x.size_bytes() / sizeof(Vector);
  for (std::size_t i = 0; i + kSums <= count; i += kSums) {
    for (std::size_t k = 0; k < kSums; ++k) sums[k] += from[i + k];
  }
  const Vector sum = sums[0] + sums[1] + sums[2] + sums[3];
  float all = 0;
  for (std::int64_t lane = 0; lane < kLanes; ++lane) all += sum[lane];
  return all;
}

void stream(std::span<const float> x, std::span<float> y) {
  const float* from = x.data();
  float* to = y.data();
  for (std::size_t i = 0; i < y.size(); ++i) to[i] += 0.5F * from[i];
}

}  // namespace maskgrad::ops
