// Sums over rows, and over the elements of one row. What they promise alike: the order depends on
// the numbers of rows and columns alone, and what is 0 at the end changes no bit.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include <maskgrad/tensor/cpu/pairwise_sum.hpp>

namespace maskgrad {

/// So many rows are added one after another; blocks of them are added in a balanced binary tree.
inline constexpr std::int64_t kRowsOfBlock = 32;

namespace detail {

template <int kBytes, class T>
struct VectorOf {
  using Type [[gnu::vector_size(kBytes)]] = T;
};

// sums[j] = sum of x[i * stride + j] over a block of rows, in their order, for `kVectors` vectors.
template <int kVectors, int kBytes, class T>
void sum_columns(const T* x, std::int64_t rows, std::int64_t stride, T* sums) {
  using Vector = typename VectorOf<kBytes, T>::Type;
  constexpr std::int64_t kLanes = kBytes / sizeof(T);
  Vector totals[kVectors] = {};
  for (std::int64_t i = 0; i < rows; ++i, x += stride) {
    for (int v = 0; v < kVectors; ++v) {
      Vector row;
      std::memcpy(&row, x + v * kLanes, sizeof row);
      totals[v] += row;
    }
  }
  for (int v = 0; v < kVectors; ++v) std::memcpy(sums + v * kLanes, &totals[v], sizeof totals[v]);
}

template <class T>
void sum_block(const T* x, std::int64_t rows, std::int64_t columns, std::int64_t stride, T* sums) {
  std::int64_t j = 0;
  const auto add = [&](auto vectors, auto bytes) {
    constexpr std::int64_t kColumns = vectors * bytes / static_cast<int>(sizeof(T));
    for (; j + kColumns <= columns; j += kColumns) {
      sum_columns<vectors, bytes>(x + j, rows, stride, sums + j);
    }
  };
  add(std::integral_constant<int, 4>(), std::integral_constant<int, 64>());
  add(std::integral_constant<int, 1>(), std::integral_constant<int, 64>());
  add(std::integral_constant<int, 1>(), std::integral_constant<int, 16>());
  for (; j < columns; ++j) {
    T total{};
    for (std::int64_t i = 0; i < rows; ++i) total += x[i * stride + j];
    sums[j] = total;
  }
}

}  // namespace detail

/// sums[j] = sum over i of x[i * stride + j], for `rows` rows of `columns` numbers.
template <class T>
void sum_rows(const T* x, std::int64_t rows, std::int64_t columns, std::int64_t stride, T* sums) {
  if (rows <= kRowsOfBlock) return detail::sum_block(x, rows, columns, stride, sums);
  PairwiseSum<T> blocks(columns);
  for (std::int64_t i = 0; i < rows; i += kRowsOfBlock) {
    const std::int64_t count = std::min(kRowsOfBlock, rows - i);
    detail::sum_block(x + i * stride, count, columns, stride, blocks.row());
    blocks.add();
  }
  blocks.finish(sums);
}

/// The sum of term(j) over j = 0 .. n-1: sixteen sums side by side, element j in sum j % 16, which
/// are blocks of rows too; then the sixteen in a tree. T is the type of the sums.
template <class T, class Term>
T sum_terms(std::int64_t n, Term term) {
  constexpr std::int64_t kLanes = 16, kBlock = kLanes * kRowsOfBlock;
  using Vector = typename detail::VectorOf<16, T>::Type;
  const auto sum_block = [&](std::int64_t begin, std::int64_t end, T* to) {
    // In vectors, of which GCC makes no reduction: where terms have conditions, that of GCC 12
    // leaves some out.
    Vector lanes[kLanes * sizeof(T) / sizeof(Vector)] = {};
    const auto add = [&](std::int64_t j, std::int64_t count) __attribute__((always_inline)) {
      T terms[kLanes] = {};
      for (std::int64_t lane = 0; lane < count; ++lane) terms[lane] = term(j + lane);
      for (std::size_t v = 0; v < std::size(lanes); ++v) {
        Vector row;
        std::memcpy(&row, terms + v * sizeof row / sizeof(T), sizeof row);
        lanes[v] += row;
      }
    };
    std::int64_t j = begin;
    for (; j + kLanes <= end; j += kLanes) add(j, kLanes);
    if (j < end) add(j, end - j);
    std::memcpy(to, lanes, sizeof lanes);
  };
  T lanes[kLanes];
  if (n <= kBlock) {
    sum_block(0, n, lanes);
  } else {
    PairwiseSum<T> blocks(kLanes);
    for (std::int64_t j = 0; j < n; j += kBlock) {
      sum_block(j, std::min(j + kBlock, n), blocks.row());
      blocks.add();
    }
    blocks.finish(lanes);
  }
  for (std::int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::int64_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

}  // namespace maskgrad
