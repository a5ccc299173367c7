// Rows to columns. Internal to src/ops.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include <maskgrad/ops/vector.hpp>

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

// Exchanges squares of kHalf x kHalf across the diagonal, then smaller ones within each.
template <std::size_t kHalf, class T, std::size_t kSize>
void transpose_registers(std::array<Vec<T>, kSize>& rows) {
  using Lanes = std::make_index_sequence<kSize>;
  for (std::size_t r = 0; r < kSize; ++r) {
    if (r & kHalf) continue;
    const auto a = rows[r].data, b = rows[r + kHalf].data;
    rows[r] = Vec<T>(exchange<kHalf, false>(a, b, Lanes{}));
    rows[r + kHalf] = Vec<T>(exchange<kHalf, true>(a, b, Lanes{}));
  }
  if constexpr (kHalf > 1) transpose_registers<kHalf / 2, T>(rows);
}

}  // namespace detail

/// to(j, i) = factor * from(i, j) for i < rows and j < columns, in squares of a vector's size;
/// where `padded`, rows of `to` are filled with 0 up to whole vectors. Strides are those between
/// rows. Three to five times as fast as a loop over elements (20 x 15 and 64 x 64 floats, AMD EPYC
/// Genoa).
template <bool padded, class T>
void transpose(const T* from, std::int64_t from_stride, std::int64_t rows, std::int64_t columns,
               T factor, T* to, std::int64_t to_stride) {
  constexpr std::int64_t n = kLanes<T>;
  std::array<Vec<T>, static_cast<std::size_t>(n)> square;
  for (std::int64_t i = 0; i < rows; i += n) {
    const std::int64_t height = std::min(n, rows - i);
    for (std::int64_t j = 0; j < columns; j += n) {
      const std::int64_t width = std::min(n, columns - j);
      for (std::int64_t r = 0; r < n; ++r) {
        const T* row = from + (i + r) * from_stride + j;
        square[static_cast<std::size_t>(r)] = r >= height ? Vec<T>(T{})
                                              : width < n ? load_first(row, width)
                                                          : Vec<T>::load_unaligned(row);
      }
      detail::transpose_registers<static_cast<std::size_t>(n / 2), T>(square);
      for (std::int64_t c = 0; c < width; ++c) {
        const Vec<T> scaled = Vec<T>(factor) * square[static_cast<std::size_t>(c)];
        T* row = to + (j + c) * to_stride + i;
        if (padded || height == n) {
          scaled.store_unaligned(row);
        } else {
          store_first(scaled, row, height);
        }
      }
    }
  }
}

}  // namespace maskgrad::ops
