// Vectors of the widest kind that the build may use. Internal to src/ops.
//
// The bits of a result may depend on the width, as they depend on the machine anyway; nothing else
// does. Without -march the same code runs on the 16-byte vectors that every x86-64 has.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include <xsimd/xsimd.hpp>

namespace maskgrad::ops {

template <class T>
using Vec = xsimd::batch<T>;
template <class T>
inline constexpr auto kLanes = static_cast<std::int64_t>(Vec<T>::size);

/// n rounded up to whole vectors.
template <class T>
constexpr std::int64_t whole_vectors(std::int64_t n) {
  return (n + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
}

/// from[0 .. count-1], and 0 in the other lanes; 0 <= count <= kLanes. Reads no further.
template <class T>
Vec<T> load_first(const T* from, std::int64_t count) {
#if XSIMD_WITH_AVX512F
  const auto lanes = (1u << count) - 1;
  if constexpr (sizeof(T) == 4) {
    return Vec<T>(_mm512_maskz_loadu_ps(static_cast<__mmask16>(lanes), from));
  } else {
    return Vec<T>(_mm512_maskz_loadu_pd(static_cast<__mmask8>(lanes), from));
  }
#else
  alignas(64) std::array<T, static_cast<std::size_t>(kLanes<T>)> lanes{};
  std::memcpy(lanes.data(), from, static_cast<std::size_t>(count) * sizeof(T));
  return Vec<T>::load_aligned(lanes.data());
#endif
}

/// Writes the first `count` lanes, and no further.
template <class T>
void store_first(const Vec<T>& x, T* to, std::int64_t count) {
#if XSIMD_WITH_AVX512F
  const auto lanes = (1u << count) - 1;
  if constexpr (sizeof(T) == 4) {
    _mm512_mask_storeu_ps(to, static_cast<__mmask16>(lanes), x);
  } else {
    _mm512_mask_storeu_pd(to, static_cast<__mmask8>(lanes), x);
  }
#else
  alignas(64) std::array<T, static_cast<std::size_t>(kLanes<T>)> lanes;
  x.store_aligned(lanes.data());
  std::memcpy(to, lanes.data(), static_cast<std::size_t>(count) * sizeof(T));
#endif
}

/// False when x[0 .. n-1] holds an Inf or a NaN.
template <class T>
bool all_finite(const T* x, std::int64_t n) {
  // 0 times anything finite is 0; 0 times the rest is NaN, and stays.
  Vec<T> sum(T{});
  std::int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) {
    sum = xsimd::fma(Vec<T>::load_unaligned(x + i), Vec<T>(T{}), sum);
  }
  sum = xsimd::fma(load_first(x + i, n - i), Vec<T>(T{}), sum);
  return xsimd::all(sum == Vec<T>(T{}));
}

}  // namespace maskgrad::ops
