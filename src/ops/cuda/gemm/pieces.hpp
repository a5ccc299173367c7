// How the sums of products are cut into pieces, which blocks compute side by side. For `.cu` files.
// Internal to src/ops.
#pragma once

#include <maskgrad/ops/cuda/gemm/group_tree.hpp>
#include <maskgrad/ops/cuda/gemm/products.hpp>

namespace maskgrad::ops::cuda_gemm {

/// A piece of the sums is a branch of their tree: so many groups, a power of two. A unit of work is
/// one piece of the sums of one tile.
struct Cut {
  std::int64_t pieces, groups_of_piece;
  std::int64_t row_tiles, column_tiles, units;

  /// Of the tree of a piece.
  __host__ __device__ std::int64_t levels() const { return log2_above(groups_of_piece) + 1; }
};

/// Where the results of units go.
template <class T>
struct Results {
  T* pieces;  // [pieces, products, sums of one]; nullptr where there is one piece
  T* levels;  // [blocks, levels, sums of a tile]; nullptr where a piece is one group
};

/// A unit, whose tile begins at `row` and `column`.
struct Unit {
  std::int64_t product, piece, row, column;
};
__device__ inline Unit unit_of(const Cut& cut, std::int64_t number, int rows, int columns) {
  const std::int64_t column = number % cut.column_tiles * columns;
  number /= cut.column_tiles;
  const std::int64_t row = number % cut.row_tiles * rows;
  number /= cut.row_tiles;
  return {number / cut.pieces, number % cut.pieces, row, column};
}

/// Puts sum (i, j) of a unit where it belongs, unless the products have none.
template <class T>
__device__ void put(const Products<T>& f, const Results<T>& results, const Unit& unit,
                    std::int64_t i, std::int64_t j, T sum) {
  if (i >= f.left.all_rows() || j >= f.right.all_rows()) return;
  if (!results.pieces) return finish(f, unit.product, i, j, sum);
  results.pieces[(unit.piece * f.count + unit.product) * f.size() + i * f.right.all_rows() + j] =
      sum;
}

/// What a block does for all units that it gets: sum_group(unit, place of the factors, group)
/// leaves the sums of a group in sums(e), for the elements e of a tile [rows, columns] that are
/// this thread's in a GroupTree. A block has so many threads for each column, a whole number.
template <int rows, int columns, class T, class SumGroup, class Sums>
__device__ void run_units(const Products<T>& f, const Cut& cut, const Results<T>& results,
                          SumGroup sum_group, Sums sums) {
  constexpr int kCount = rows * columns;
  T* const levels = results.levels ? results.levels + blockIdx.x * cut.levels() * kCount : nullptr;
  for (std::int64_t number = blockIdx.x; number < cut.units; number += gridDim.x) {
    const Unit unit = unit_of(cut, number, rows, columns);
    const Places at = places_of(f, unit.product);
    const std::int64_t first = unit.piece * cut.groups_of_piece,
                       end = std::min(first + cut.groups_of_piece, f.sum.groups());
    GroupTree<T> tree(levels, kCount);
    std::int64_t g = first;
    do {
      const BatchSum::Group group = f.sum.group(g);
      const bool has_terms = group.terms.length() > 0;
      if (has_terms || !levels) sum_group(unit, at, group);
      if (levels) tree.add(has_terms, sums);
    } while (++g < end);
    if (levels) tree.finish(sums);
    const int column = thread_of_block() % columns, next_row = threads_of_block() / columns;
    for (int row = thread_of_block() / columns; row < rows; row += next_row) {
      put(f, results, unit, unit.row + row, unit.column + column, sums(row * columns + column));
    }
  }
}

// Adds up the pieces in a tree of their numbers. A block of threads has 32 sums, and as many
// threads for each of them.
inline constexpr unsigned kSumsOfBlock = 32, kThreadsOfSum = 8;

template <class T>
__global__ void add_pieces_kernel(Products<T> f, Cut cut, T* pieces) {
  const std::int64_t size = f.count * f.size(),
                     at = std::int64_t{blockIdx.x} * kSumsOfBlock + threadIdx.x;
  T* const first = pieces + at;
  for (std::int64_t step = 1; step < cut.pieces; step *= 2) {
    for (std::int64_t p = threadIdx.y * 2 * step; at < size && p + step < cut.pieces;
         p += kThreadsOfSum * 2 * step) {
      // A branch of the tree whose first group has no terms has none.
      const bool has_terms = f.sum.group((p + step) * cut.groups_of_piece).terms.length() > 0;
      if (has_terms) first[p * size] += first[(p + step) * size];
    }
    __syncthreads();
  }
  if (threadIdx.y > 0 || at >= size) return;
  const std::int64_t sum = at % f.size();
  finish(f, at / f.size(), sum / f.right.all_rows(), sum % f.right.all_rows(), *first);
}

}  // namespace maskgrad::ops::cuda_gemm
