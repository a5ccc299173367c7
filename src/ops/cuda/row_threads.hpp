// The threads that share a row, and the order in which they add it: that of
// cpu/rows/row_kernels.hpp and of sum_terms(). For `.cu` files. Internal to src/ops.
//
// Element j goes to lane j % 16. A lane takes the elements of a block of 512 one after another.
// What comes of several blocks is combined in a balanced tree of their indices, and at last the
// sixteen lanes in a tree. A kernel is written once, for a parameter Row, and started by
// launch_rows():
//
//   template <class Row, class T>
//   __global__ void sums_kernel(std::int64_t rows, std::int64_t n, const T* x, T* sums) {
//     const Row row(rows, n);
//     x += row.index * n;
//     const T sum = row_sum<T>(row, [=](std::int64_t j) { return x[j]; });
//     if (row.is_first()) sums[row.index] = sum;
//   }
//
// All threads of a kernel make the same reductions in the same order: no condition that differs
// between rows may stand around one. Threads without a row have one without elements.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>

#include <maskgrad/ops/cuda/index_tree.hpp>
#include <maskgrad/ops/functors/element.hpp>
#include <maskgrad/tensor/cpu/row_sums.hpp>
#include <maskgrad/tensor/cuda/warp.hpp>
#include <maskgrad/tensor/shape.hpp>

namespace maskgrad::ops {

namespace detail {

inline constexpr unsigned kLanesOfRow = kLanesOfTerms;
inline constexpr unsigned kShortRows = 8;   // of a block of threads
inline constexpr unsigned kMostParts = 16;  // blocks of a long row that are taken at once

}  // namespace detail

/// The threads of one row, blockDim (16, ...): 16 for a row of at most one block, several such rows
/// in a block of threads; else a block of threads, 16 for each block that is taken at once. Each
/// element is one thread's, in for_each() and in reductions, so that it may read what it wrote.
template <bool kIsLong>
struct RowThreads {
  std::int64_t index;
  std::int64_t length;  // how many elements of the row are taken

  __device__ RowThreads(std::int64_t rows, std::int64_t n)
      : index(kIsLong ? std::int64_t{blockIdx.x}
                      : std::int64_t{blockIdx.x} * detail::kShortRows + threadIdx.y),
        length(index < rows ? n : 0),
        exists_(index < rows) {}

  /// Where it does not, its index must not be used.
  __device__ bool exists() const { return exists_; }
  /// Whether this thread writes what a row has one of.
  __device__ bool is_first() const {
    return exists_ && threadIdx.x == 0 && (!kIsLong || threadIdx.y == 0);
  }

  /// The same threads for another number of elements, that of a part of the row.
  __device__ RowThreads first(std::int64_t count) const {
    RowThreads part = *this;
    part.length = exists_ ? count : 0;
    return part;
  }

  __device__ std::int64_t blocks() const { return (length + kTermsOfBlock - 1) / kTermsOfBlock; }
  /// Calls f(j) for this thread's elements of a block, in their order.
  template <class F>
  __device__ void for_each_of_block(std::int64_t block, F f) const {
    const std::int64_t begin = block * kTermsOfBlock, left = length - begin,
                       end = begin + (left < kTermsOfBlock ? left : kTermsOfBlock);
    for (std::int64_t j = begin + threadIdx.x; j < end; j += detail::kLanesOfRow) f(j);
  }
  /// Calls f(j) for all elements of this thread.
  template <class F>
  __device__ void for_each(F f) const {
    if constexpr (kIsLong) {
      for (std::int64_t i = threadIdx.y; i < blocks(); i += blockDim.y) for_each_of_block(i, f);
    } else {
      for_each_of_block(0, f);
    }
  }

 private:
  bool exists_;
};

using ShortRow = RowThreads<false>;
using LongRow = RowThreads<true>;

namespace detail {

// Combines the lanes of a row in a tree. All of them get the result.
template <class T, class Combine>
__device__ T combine_row(T x, Combine combine) {
  x = cuda::combine_lanes(x, kLanesOfRow, combine);
  const unsigned first = threadIdx.y * kLanesOfRow % 32;
  return __shfl_sync(cuda::kAllLanes, x, first);
}

// What the threads of a long row share. One for all reductions of a kernel with this T.
template <class T>
struct OfLongRow {
  T parts[kMostParts][kLanesOfRow];
  T levels[kLevelsOfTree][kLanesOfRow];  // a tree of rounds, of blockDim.y blocks each
};
template <class T>
__device__ OfLongRow<T>& of_long_row() {
  MASKGRAD_SHARED(OfLongRow<T>, memory, [1]);
  return memory[0];
}

// Combines the first `count` parts, neighbours first. Part 0 gets it.
template <class T, class Combine>
__device__ void combine_parts(OfLongRow<T>& shared, std::int64_t count, Combine combine) {
  T* const own = &shared.parts[threadIdx.y][threadIdx.x];
  for (unsigned by = 1; by < blockDim.y; by *= 2) {
    __syncthreads();
    if (threadIdx.y % (2 * by) == 0 && threadIdx.y + by < count) {
      *own = combine(*own, own[by * kLanesOfRow]);
    }
  }
}

}  // namespace detail

/// Each lane begins with `start`, and takes its elements by lane = step(lane, j); then blocks and
/// lanes are combined by combine(a, b), a standing before b. All threads of the row get the result.
template <class T, class Step, class Combine>
__device__ T reduce_row(const ShortRow& row, T start, Step step, Combine combine) {
  T lane = start;
  row.for_each([&](std::int64_t j) { lane = step(lane, j); });
  return detail::combine_row(lane, combine);
}
template <class T, class Step, class Combine>
__device__ T reduce_row(const LongRow& row, T start, Step step, Combine combine) {
  auto& shared = detail::of_long_row<T>();
  const auto level_at = [&](int level) -> T& { return shared.levels[level][threadIdx.x]; };
  const std::int64_t blocks = row.blocks(), of_round = blockDim.y;
  std::int64_t round = 0;
  for (; round * of_round < blocks; ++round) {
    const std::int64_t first = round * of_round, count = blocks - first;
    if (threadIdx.y < count) {
      T lane = start;
      row.for_each_of_block(first + threadIdx.y, [&](std::int64_t j) { lane = step(lane, j); });
      shared.parts[threadIdx.y][threadIdx.x] = lane;
    }
    detail::combine_parts(shared, count, combine);
    if (threadIdx.y == 0) {
      detail::add_to_tree(round, shared.parts[0][threadIdx.x], level_at, combine);
    }
    __syncthreads();
  }
  T total = start;
  if (threadIdx.y == 0) total = detail::total_of_tree(round, start, level_at, combine);
  total = detail::combine_row(total, combine);
  if (threadIdx.x == 0 && threadIdx.y == 0) shared.parts[0][0] = total;
  __syncthreads();
  total = shared.parts[0][0];
  __syncthreads();
  return total;
}

/// The sum of term(j) over the elements of the row.
template <class T, class Row, class Term>
__device__ T row_sum(const Row& row, Term term) {
  return reduce_row(
      row, T{0}, [&](T sum, std::int64_t j) { return sum + term(j); }, Plus());
}

/// The sum of x(j) y(j).
template <class T, class Row, class X, class Y>
__device__ T row_dot(const Row& row, X x, Y y) {
  return reduce_row(
      row, T{0}, [&](T sum, std::int64_t j) { return math::multiply_add(x(j), y(j), sum); },
      Plus());
}

/// The largest of value(j), NaN left out; -inf over nothing.
template <class T, class Row, class Value>
__device__ T row_max(const Row& row, Value value) {
  const auto larger = [](T a, T b) { return a < b ? b : a; };
  return reduce_row(
      row, -std::numeric_limits<T>::infinity(),
      [&](T top, std::int64_t j) { return larger(top, value(j)); }, larger);
}

/// The rows of a tensor: all that its last axis runs along, of n elements each.
struct RowsOf {
  std::int64_t count, n;

  RowsOf(std::int64_t count_of, std::int64_t n_of) : count(count_of), n(n_of) {}
  RowsOf(const Shape& shape)
      : count(shape.numel() == 0 ? 0 : shape.numel() / shape.dim(-1)), n(shape.dim(-1)) {}
};

/// Starts kernel(rows, n, arguments...): `of_short` is the kernel for ShortRow, `of_long` for
/// LongRow.
template <class... P, class... A>
void launch_rows(const char* name, const RowsOf& rows, void (*of_short)(P...),
                 void (*of_long)(P...), A... arguments) {
  const std::int64_t blocks = (rows.n + kTermsOfBlock - 1) / kTermsOfBlock;
  if (blocks <= 1) {
    const dim3 block(detail::kLanesOfRow, detail::kShortRows);
    cuda::launch({name, cuda::blocks_for(rows.count, detail::kShortRows), block}, of_short,
                 rows.count, rows.n, arguments...);
  } else {
    const auto parts =
        static_cast<unsigned>(std::min(blocks, static_cast<std::int64_t>(detail::kMostParts)));
    const dim3 block(detail::kLanesOfRow, std::bit_ceil(parts));
    cuda::launch({name, cuda::blocks_for(rows.count, 1), block}, of_long, rows.count, rows.n,
                 arguments...);
  }
}

}  // namespace maskgrad::ops
