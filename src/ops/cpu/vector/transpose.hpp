// Rows to columns. Internal to src/ops.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <utility>

#include <maskgrad/ops/cpu/vector/vector.hpp>

namespace maskgrad::ops {

namespace detail {

// Lane i of a and of b where i & kHalf is 0 and 1; the other way round for kHigh, from the lane
// kHalf to the other side.
template <std::size_t kHalf, bool kHigh, class Register, std::size_t... i>
Register exchange(Register a, Register b, std::index_sequence<i...>) {
  constexpr std::size_t n = sizeof...(i);
  return __builtin_shufflevector(
      a, b, ((i & kHalf) == 0 ? i + (kHigh ? kHalf : 0) : n + i - (kHigh ? 0 : kHalf))...);
}

// Elements of 16 bytes, a lane: shuffles within lanes, and of whole ones, are cheap.
template <class T>
inline constexpr std::size_t kOfLane = 16 / sizeof(T);

// Elements of a and b by turns, of the lower or the upper half of each lane.
template <class T, bool kUpper, class Register, std::size_t... i>
Register interleave(Register a, Register b, std::index_sequence<i...>) {
  constexpr std::size_t n = sizeof...(i), m = kOfLane<T>;
  return __builtin_shufflevector(a, b,
                                 (i / m * m + (kUpper ? m / 2 : 0) + i % m / 2 + i % 2 * n)...);
}
// Every second lane of a, then of b: the even ones or the odd ones.
template <class T, bool kOdd, class Register, std::size_t... i>
Register take_lanes(Register a, Register b, std::index_sequence<i...>) {
  constexpr std::size_t m = kOfLane<T>;
  return __builtin_shufflevector(a, b, ((2 * (i / m) + kOdd) * m + i % m)...);
}

// Row i of a square becomes its column i: first within lanes, then among them (Stone 1971,
// "Parallel processing with the perfect shuffle").
template <class T, std::size_t kSize>
[[gnu::always_inline]] inline void transpose_registers(std::array<Vec<T>, kSize>& rows) {
  constexpr auto m = static_cast<int>(kOfLane<T>), lanes = static_cast<int>(kSize) / m;
  constexpr std::make_index_sequence<kSize> kIndices;
  unrolled<std::bit_width(kOfLane<T>) - 1>([&](auto) MASKGRAD_INLINE {
    const std::array<Vec<T>, kSize> from = rows;
    unrolled<static_cast<int>(kSize) / 2>([&](auto i) MASKGRAD_INLINE {
      constexpr int first = i / (m / 2) * m, r = i % (m / 2);
      const auto a = from[first + r].data, b = from[first + r + m / 2].data;
      rows[first + 2 * r] = Vec<T>(interleave<T, false>(a, b, kIndices));
      rows[first + 2 * r + 1] = Vec<T>(interleave<T, true>(a, b, kIndices));
    });
  });
  unrolled<std::bit_width(kSize / kOfLane<T>) - 1>([&](auto) MASKGRAD_INLINE {
    const std::array<Vec<T>, kSize> from = rows;
    unrolled<static_cast<int>(kSize) / 2>([&](auto i) MASKGRAD_INLINE {
      constexpr int r = i / m, c = i % m;
      const auto a = from[2 * r * m + c].data, b = from[(2 * r + 1) * m + c].data;
      rows[r * m + c] = Vec<T>(take_lanes<T, false>(a, b, kIndices));
      rows[(r + lanes / 2) * m + c] = Vec<T>(take_lanes<T, true>(a, b, kIndices));
    });
  });
}

template <std::size_t kHalf, class T, std::size_t kSize>
[[gnu::always_inline]] inline void add_exchanged(std::array<Vec<T>, kSize>& rows) {
  using Lanes = std::make_index_sequence<kSize>;
  unrolled<static_cast<int>(kHalf)>([&](auto r) MASKGRAD_INLINE {
    const auto a = rows[r].data, b = rows[r + kHalf].data;
    rows[r] = Vec<T>(exchange<kHalf, false>(a, b, Lanes{})) +
              Vec<T>(exchange<kHalf, true>(a, b, Lanes{}));
  });
  if constexpr (kHalf > 1) add_exchanged<kHalf / 2, T>(rows);
}

// A part of at most kLanes x kLanes.
template <bool padded, class T>
inline void transpose_square(const T* from, std::int64_t from_stride, std::int64_t rows,
                             std::int64_t columns, T factor, T* to, std::int64_t to_stride) {
  constexpr std::int64_t n = kLanes<T>;
  std::array<Vec<T>, static_cast<std::size_t>(n)> square;
  unrolled<static_cast<int>(n)>([&](auto r) MASKGRAD_INLINE {
    square[r] = Vec<T>(T{});
    if (r < rows) square[r] = load_first(from + r * from_stride, columns);
  });
  transpose_registers<T>(square);
  unrolled<static_cast<int>(n)>([&](auto c) MASKGRAD_INLINE {
    if (c >= columns) return;
    // + 0: a negative factor would make -0 of 0.
    const Vec<T> scaled = multiply_add(Vec<T>(factor), square[c], Vec<T>(T{}));
    T* row = to + c * to_stride;
    if (padded || rows == n) {
      scaled.store_unaligned(row);
    } else {
      store_first(scaled, row, rows);
    }
  });
}

}  // namespace detail

/// Vectors whose lanes are to be summed, one for each lane of the result.
template <class T>
using Partials = std::array<Vec<T>, static_cast<std::size_t>(kLanes<T>)>;

/// Lane j of the result is the sum of the lanes of partials[j], which are used up: half the
/// shuffles of a transpose, as each exchange halves what is left.
template <class T>
[[gnu::always_inline]] inline Vec<T> sum_lanes(Partials<T>& partials) {
  detail::add_exchanged<static_cast<std::size_t>(kLanes<T> / 2), T>(partials);
  return partials[0];
}

/// to(j, i) = factor * from(i, j) + 0 for i < rows and j < columns, in squares of a vector's size.
/// If `padded`, rows of `to` are filled with 0 up to whole vectors. A stride is the distance between
/// two rows.
template <bool padded, class T>
void transpose(const T* from, std::int64_t from_stride, std::int64_t rows, std::int64_t columns,
               T factor, T* to, std::int64_t to_stride) {
  constexpr std::int64_t n = kLanes<T>;
  for (std::int64_t i = 0; i < rows; i += n) {
    for (std::int64_t j = 0; j < columns; j += n) {
      detail::transpose_square<padded>(from + i * from_stride + j, from_stride,
                                       std::min(n, rows - i), std::min(n, columns - j), factor,
                                       to + j * to_stride + i, to_stride);
    }
  }
}

}  // namespace maskgrad::ops
