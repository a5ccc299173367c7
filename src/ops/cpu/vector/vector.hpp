// Vectors of the widest kind that the build may use. Internal to src/ops.
//
// The bits of a result may depend on the width, as they depend on the machine anyway; nothing else
// does. Without -march the same code runs on the 16-byte vectors that every x86-64 has.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include <maskgrad/ops/cpu/vector/vector_parts.hpp>
#include <maskgrad/ops/functors/unrolled.hpp>

namespace maskgrad::ops {

template <class T>
using Vec = xsimd::batch<T>;
template <class T>
inline constexpr auto kLanes = static_cast<std::int64_t>(Vec<T>::size);

/// x y + z, rounded once where the machine can. xsimd::fma() of version 8 does not know how AVX-512
/// does that: it multiplies, then adds, which GCC makes one again and Clang does not.
template <class T>
[[gnu::always_inline]] inline Vec<T> multiply_add(const Vec<T>& x, const Vec<T>& y,
                                                  const Vec<T>& z) {
#if XSIMD_WITH_AVX512F
  if constexpr (std::is_same_v<T, float>) {
    return Vec<T>(_mm512_fmadd_ps(x.data, y.data, z.data));
  } else {
    return Vec<T>(_mm512_fmadd_pd(x.data, y.data, z.data));
  }
#else
  return xsimd::fma(x, y, z);
#endif
}

/// n rounded up to whole vectors.
template <class T>
constexpr std::int64_t whole_vectors(std::int64_t n) {
  return (n + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
}

/// from[0 .. count-1], and 0 in the other lanes; 0 <= count <= kLanes. Reads no further.
template <class T>
Vec<T> load_first(const T* from, std::int64_t count) {
  return Vec<T>(detail::load_part(from, count));
}

/// Writes the first `count` lanes, and no further.
template <class T>
void store_first(const Vec<T>& x, T* to, std::int64_t count) {
  detail::store_part(x, to, count);
}

/// Which of kLanes<T> bools are true.
template <class T>
typename Vec<T>::batch_bool_type load_bools(const bool* from) {
  using Bytes [[gnu::vector_size(kLanes<T>)]] = std::uint8_t;
  using Lanes [[gnu::vector_size(kLanes<T> * sizeof(T))]] = T;
  Bytes bytes;
  std::memcpy(&bytes, from, sizeof bytes);
  const auto lanes = __builtin_convertvector(bytes, Lanes);
  return Vec<T>(std::bit_cast<typename Vec<T>::register_type>(lanes)) != Vec<T>(T{});
}

namespace detail {

// Elements as functors take them: numbers as a vector, bools as conditions.
template <class T>
[[gnu::always_inline]] inline Vec<T> load_lanes(const T* from) {
  return Vec<T>::load_unaligned(from);
}
template <class T>
[[gnu::always_inline]] inline auto load_lanes(const bool* from) {
  return load_bools<T>(from);
}
template <class T>
[[gnu::always_inline]] inline Vec<T> load_first_lanes(const T* from, std::int64_t count) {
  return load_first(from, count);
}
template <class T>
[[gnu::always_inline]] inline auto load_first_lanes(const bool* from, std::int64_t count) {
  std::array<bool, Vec<T>::size> lanes{};
  for (std::int64_t i = 0; i < count; ++i) lanes[static_cast<std::size_t>(i)] = from[i];
  return load_bools<T>(lanes.data());
}

}  // namespace detail

/// y[j] = f(x[j]...) for j = 0 .. n-1, f being of vectors: the same for each element, wherever it
/// stands. y may be one of x. Those that are bool are conditions.
template <class T, class F, class... Ts>
void map_vectors(std::int64_t n, T* y, F f, const Ts*... x) {
  std::int64_t j = 0;
  for (; j + kLanes<T> <= n; j += kLanes<T>) {
    f(detail::load_lanes<T>(x + j)...).store_unaligned(y + j);
  }
  if (j < n) store_first(f(detail::load_first_lanes<T>(x + j, n - j)...), y + j, n - j);
}

/// The same for T of any dtype; what has no vectors here is computed by itself.
template <class T, class F, class... Ts>
void map_row(std::int64_t n, T* y, F f, const Ts*... x) {
  if constexpr (std::is_floating_point_v<T>) {
    map_vectors(n, y, f, x...);
  } else {
    for (std::int64_t j = 0; j < n; ++j) y[j] = f(x[j]...);
  }
}

/// y[0 .. n-1] = x, without the call that std::copy makes: rows are short.
template <class T>
void copy_row(const T* x, T* y, std::int64_t n) {
  std::int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) Vec<T>::load_unaligned(x + i).store_unaligned(y + i);
  if (i < n) store_first(load_first(x + i, n - i), y + i, n - i);
}

/// y[0 .. n-1] += x
template <class T>
void add_row(const T* x, T* y, std::int64_t n) {
  std::int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) {
    (Vec<T>::load_unaligned(y + i) + Vec<T>::load_unaligned(x + i)).store_unaligned(y + i);
  }
  if (i < n) store_first(load_first(y + i, n - i) + load_first(x + i, n - i), y + i, n - i);
}

/// False when x[0 .. n-1] holds an Inf or a NaN.
template <class T>
bool all_finite(const T* x, std::int64_t n) {
  // 0 times anything finite is 0; 0 times the rest is NaN, and stays.
  Vec<T> sum(T{});
  std::int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) {
    sum = multiply_add(Vec<T>::load_unaligned(x + i), Vec<T>(T{}), sum);
  }
  sum = multiply_add(load_first(x + i, n - i), Vec<T>(T{}), sum);
  return xsimd::all(sum == Vec<T>(T{}));
}
/// The same of `count` rows of n elements, `stride` apart.
template <class T>
bool all_finite_rows(const T* x, std::int64_t count, std::int64_t n, std::int64_t stride) {
  if (stride == n) return all_finite(x, count * n);
  bool finite = true;
  for (std::int64_t i = 0; i < count; ++i) finite = finite && all_finite(x + i * stride, n);
  return finite;
}

}  // namespace maskgrad::ops
