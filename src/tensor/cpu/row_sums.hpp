// Sums over rows, and over the elements of one row. The order of all these sums depends on the
// numbers of rows and columns alone, and terms of 0 at the end change no bit.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include <maskgrad/tensor/cpu/pairwise_sum.hpp>
#include <maskgrad/tensor/cpu/pool_allocator.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>

namespace maskgrad {

/// The rows of a block, which are added one after another. Blocks are added in a balanced binary
/// tree.
inline constexpr std::int64_t kRowsOfBlock = 32;
/// How the elements of one row are added: so many sums side by side, and blocks of rows of them.
inline constexpr std::int64_t kLanesOfTerms = 16, kTermsOfBlock = kLanesOfTerms * kRowsOfBlock;

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
  if (rows == 0) {  // x may be null, which has no columns
    std::fill_n(sums, columns, T{});
    return;
  }
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

namespace detail {

// lanes[l] = the sum of term(j) over j = begin + l, begin + l + 16, ... before end: one block.
template <class T, class Term>
void sum_block_of_terms(std::int64_t begin, std::int64_t end, Term& term, T* lanes) {
  constexpr std::int64_t kLanes = kLanesOfTerms;
  using Vector = typename VectorOf<16, T>::Type;
  // In vectors, of which GCC makes no reduction: where terms have conditions, that of GCC 12 leaves
  // some out.
  Vector totals[kLanes * sizeof(T) / sizeof(Vector)] = {};
  const auto add = [&](std::int64_t j, std::int64_t count) __attribute__((always_inline)) {
    T terms[kLanes] = {};
    for (std::int64_t lane = 0; lane < count; ++lane) terms[lane] = term(j + lane);
    for (std::size_t v = 0; v < std::size(totals); ++v) {
      Vector row;
      std::memcpy(&row, terms + v * sizeof row / sizeof(T), sizeof row);
      totals[v] += row;
    }
  };
  std::int64_t j = begin;
  for (; j + kLanes <= end; j += kLanes) add(j, kLanes);
  if (j < end) add(j, end - j);
  std::memcpy(lanes, totals, sizeof totals);
}

// The same for any number of blocks, in their tree.
template <class T, class Term>
void sum_blocks_of_terms(std::int64_t begin, std::int64_t end, Term& term, T* lanes) {
  if (end - begin <= kTermsOfBlock) return sum_block_of_terms(begin, end, term, lanes);
  PairwiseSum<T> blocks(kLanesOfTerms);
  for (std::int64_t j = begin; j < end; j += kTermsOfBlock) {
    sum_block_of_terms(j, std::min(j + kTermsOfBlock, end), term, blocks.row());
    blocks.add();
  }
  blocks.finish(lanes);
}

template <class T>
T sum_of_lanes(T* lanes) {
  for (std::int64_t half = kLanesOfTerms / 2; half > 0; half /= 2) {
    for (std::int64_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

}  // namespace detail

/// The sum of term(j) over j = 0 .. n-1. Term j goes to sum j % 16. Each of these sixteen sums is
/// computed as by sum_rows(), and the sixteen are added in a tree. T is the type of the sums.
template <class T, class Term>
T sum_terms(std::int64_t n, Term term) {
  T lanes[kLanesOfTerms];
  detail::sum_blocks_of_terms(0, n, term, lanes);
  return detail::sum_of_lanes(lanes);
}

/// sums[i] = the sum of term(i, j) over j = 0 .. n-1, for `rows` rows, with the bits of
/// sum_terms(). Threads share the rows, and parts of long rows. `work` is the work of one term, in
/// the units of least_for().
template <class T, class Term>
void sum_terms_of_rows(std::int64_t rows, std::int64_t n, std::int64_t work, const Term& term,
                       T* sums) {
  // A power of two of blocks: a branch of the tree.
  constexpr std::int64_t kLanes = kLanesOfTerms, kPart = 16 * kTermsOfBlock;
  if (n <= kPart) {
    return parallel_for(rows, least_for(n, work), [&](std::int64_t i, std::int64_t end) {
      for (; i < end; ++i) sums[i] = sum_terms<T>(n, [&](std::int64_t j) { return term(i, j); });
    });
  }
  const std::int64_t parts = (n + kPart - 1) / kPart;
  PoolVector<T> lanes(static_cast<std::size_t>(rows * parts * kLanes));
  parallel_for(rows * parts, least_for(kPart, work), [&](std::int64_t i, std::int64_t end) {
    for (; i < end; ++i) {
      const auto of_row = [&, row = i / parts](std::int64_t j) { return term(row, j); };
      const std::int64_t begin = i % parts * kPart;
      detail::sum_blocks_of_terms(begin, std::min(begin + kPart, n), of_row,
                                  lanes.data() + i * kLanes);
    }
  });
  const T* from = lanes.data();
  for (std::int64_t i = 0; i < rows; ++i) {
    PairwiseSum<T> branches(kLanes);
    for (std::int64_t part = 0; part < parts; ++part, from += kLanes) {
      std::copy_n(from, kLanes, branches.row());
      branches.add();
    }
    T total[kLanes];
    branches.finish(total);
    sums[i] = detail::sum_of_lanes(total);
  }
}

}  // namespace maskgrad
