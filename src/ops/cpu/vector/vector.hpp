// Vectors of the widest kind that the build may use. Internal to src/ops.
//
// The bits of a result may depend on the width, as they depend on the machine anyway; nothing else
// does. Without -march the same code runs on the 16-byte vectors that every x86-64 has.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include <maskgrad/ops/cpu/vector/vector_parts.hpp>

// Of a lambda: always inlined.
#define MASKGRAD_INLINE __attribute__((always_inline))

namespace maskgrad::ops {

template <class T>
using Vec = xsimd::batch<T>;
template <class T>
inline constexpr auto kLanes = static_cast<std::int64_t>(Vec<T>::size);

namespace detail {

// f(0), f(1), ... f(n - 1), written out: what is indexed by them can live in registers. Give it a
// lambda that is MASKGRAD_INLINE, else GCC may call it, which moves all it refers to into memory.
template <int n, class F>
[[gnu::always_inline]] inline void unrolled(F&& f) {
  [&]<int... i>(std::integer_sequence<int, i...>) MASKGRAD_INLINE {
    (f(std::integral_constant<int, i>()), ...);
  }
  (std::make_integer_sequence<int, n>());
}

}  // namespace detail

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

/// y[j] = f(x[j]...) for j = 0 .. n-1, f being of vectors: the same for each element, wherever it
/// stands. y may be one of x.
template <class T, class F, class... Ts>
void map_vectors(std::int64_t n, T* y, F f, const Ts*... x) {
  std::int64_t j = 0;
  for (; j + kLanes<T> <= n; j += kLanes<T>) {
    f(Vec<T>::load_unaligned(x + j)...).store_unaligned(y + j);
  }
  if (j < n) store_first(f(load_first(x + j, n - j)...), y + j, n - j);
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
