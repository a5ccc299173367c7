// The first few lanes of a vector, read and written without touching what lies beyond. Internal to
// src/ops; included by vector.hpp.
//
// xsimd has no masked loads and stores. AVX and AVX-512 have an instruction for each. Products with
// few columns take two to four times as long with copies through memory.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include <xsimd/xsimd.hpp>

namespace maskgrad::ops::detail {

#if XSIMD_WITH_AVX512F

inline __mmask16 first_lanes(std::int64_t count) {
  return static_cast<__mmask16>((1u << count) - 1);
}
inline __m512 load_part(const float* from, std::int64_t count) {
  return _mm512_maskz_loadu_ps(first_lanes(count), from);
}
inline __m512d load_part(const double* from, std::int64_t count) {
  return _mm512_maskz_loadu_pd(static_cast<__mmask8>(first_lanes(count)), from);
}
inline void store_part(__m512 x, float* to, std::int64_t count) {
  _mm512_mask_storeu_ps(to, first_lanes(count), x);
}
inline void store_part(__m512d x, double* to, std::int64_t count) {
  _mm512_mask_storeu_pd(to, static_cast<__mmask8>(first_lanes(count)), x);
}

#elif XSIMD_WITH_AVX

// `count` lanes of ones, then zeros.
template <class Integer, std::size_t kLanesOfVector>
__m256i first_lanes(std::int64_t count) {
  static constexpr auto kOnesThenZeros = [] {
    std::array<Integer, 2 * kLanesOfVector> lanes{};
    for (std::size_t i = 0; i < kLanesOfVector; ++i) lanes[i] = -1;
    return lanes;
  }();
  const Integer* first = kOnesThenZeros.data() + kLanesOfVector - count;
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(first));
}
inline __m256 load_part(const float* from, std::int64_t count) {
  return _mm256_maskload_ps(from, first_lanes<std::int32_t, 8>(count));
}
inline __m256d load_part(const double* from, std::int64_t count) {
  return _mm256_maskload_pd(from, first_lanes<std::int64_t, 4>(count));
}
inline void store_part(__m256 x, float* to, std::int64_t count) {
  _mm256_maskstore_ps(to, first_lanes<std::int32_t, 8>(count), x);
}
inline void store_part(__m256d x, double* to, std::int64_t count) {
  _mm256_maskstore_pd(to, first_lanes<std::int64_t, 4>(count), x);
}

#else

template <class T>
xsimd::batch<T> load_part(const T* from, std::int64_t count) {
  alignas(64) std::array<T, xsimd::batch<T>::size> lanes{};
  // Element by element: the lengths that memcpy is called for cost more than they save.
  for (std::int64_t i = 0; i < count; ++i) lanes[static_cast<std::size_t>(i)] = from[i];
  return xsimd::batch<T>::load_aligned(lanes.data());
}
template <class T>
void store_part(const xsimd::batch<T>& x, T* to, std::int64_t count) {
  alignas(64) std::array<T, xsimd::batch<T>::size> lanes;
  x.store_aligned(lanes.data());
  for (std::int64_t i = 0; i < count; ++i) to[i] = lanes[static_cast<std::size_t>(i)];
}

#endif

}  // namespace maskgrad::ops::detail
