// Sums over the places where each row of a table was taken. Internal to src/ops.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <span>

#include <maskgrad/ops/cpu/rows/taken_rows.hpp>
#include <maskgrad/ops/cpu/vector/vector.hpp>
#include <maskgrad/tensor/cpu/pool_allocator.hpp>
#include <maskgrad/tensor/cpu/row_sums.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::ops {

namespace detail {

// Columns [j, j + columns) of the sum of the rows of x at `places`, in their order.
template <int kVectors, class T>
void sum_columns_at(std::span<const std::int64_t> places, const T* x, std::int64_t stride,
                    std::int64_t last, T* sums) {
  Vec<T> totals[kVectors];
  unrolled<kVectors>([&](auto v) MASKGRAD_INLINE { totals[v] = Vec<T>(T{}); });
  for (const std::int64_t place : places) {
    const T* const row = x + place * stride;
    unrolled<kVectors>([&](auto v) MASKGRAD_INLINE {
      const T* const from = row + v * kLanes<T>;
      totals[v] += kVectors == 1 ? load_first(from, last) : Vec<T>::load_unaligned(from);
    });
  }
  unrolled<kVectors>([&](auto v) MASKGRAD_INLINE {
    T* const to = sums + v * kLanes<T>;
    kVectors == 1 ? store_first(totals[v], to, last) : totals[v].store_unaligned(to);
  });
}

template <class T>
void sum_rows_at(std::span<const std::int64_t> places, const T* x, std::int64_t columns, T* sums) {
  std::int64_t j = 0;
  constexpr int kVectors = 4;
  for (; j + kVectors * kLanes<T> <= columns; j += kVectors * kLanes<T>) {
    sum_columns_at<kVectors>(places, x + j, columns, 0, sums + j);
  }
  for (; j < columns; j += kLanes<T>) {
    sum_columns_at<1>(places, x + j, columns, std::min(kLanes<T>, columns - j), sums + j);
  }
}

}  // namespace detail

/// table[row] = sum over its places of x[place], for all rows that have one; x [places, columns].
/// The order is that of sum_rows(), and the same on any number of threads.
template <class T>
void sum_places(const Occurrences& occurrences, const T* x, std::int64_t columns, T* table) {
  const auto& blocks = occurrences.blocks();
  const auto count = static_cast<std::int64_t>(blocks.size());
  Tensor sums = Tensor::empty({occurrences.parts(), columns}, dtype_of<T>);
  T* const parts = sums.data<T>();
  parallel_for(count, least_for(4, kRowsOfBlock, columns), [&](std::int64_t i, std::int64_t end) {
    for (; i < end; ++i) {
      const Occurrences::Block& block = blocks[static_cast<std::size_t>(i)];
      T* const to = block.part < 0 ? table + block.row * columns : parts + block.part * columns;
      detail::sum_rows_at(occurrences.places(block), x, columns, to);
    }
  });
  for (std::size_t i = 0; i < blocks.size();) {
    const std::int64_t row = blocks[i].row;
    if (blocks[i].part < 0) {
      ++i;
      continue;
    }
    PairwiseSum<T> tree(columns);
    for (; i < blocks.size() && blocks[i].row == row; ++i) {
      copy_row(parts + blocks[i].part * columns, tree.row(), columns);
      tree.add();
    }
    tree.finish(table + row * columns);
  }
}

/// Whether one thread sums over the places sooner in passing than it finds them first.
inline bool sums_in_passing(std::int64_t places, std::int64_t table, std::int64_t columns) {
  return places > table / 8 && places * columns <= 64 * 1024;
}

namespace detail {

// The balanced trees of all rows of a table, in whose memory the last block of each row is summed.
template <class T>
class TreesOfRows {
 public:
  TreesOfRows(std::int64_t rows, std::int64_t columns, T* table)
      : columns_(columns), size_(Index(rows * columns)), table_(table), blocks_(Index(rows)) {}

  /// The last block of the row is full: moves it away, as PairwiseSum::add() does.
  void end_block(std::int64_t row) {
    T* const sum = table_ + row * columns_;
    const std::uint32_t before = blocks_[Index(row)]++;
    const auto level = Index(std::countr_one(before));
    for (Index k = 0; k < level; ++k) add_row(levels_[k].data() + row * columns_, sum, columns_);
    if (levels_[level].empty()) levels_[level].resize(size_);
    copy_row(sum, levels_[level].data() + row * columns_, columns_);
    std::fill_n(sum, columns_, T{});
  }
  /// Adds the full blocks of each row to the last one, as PairwiseSum::finish() does.
  void finish() {
    for (Index row = 0; row < blocks_.size(); ++row) {
      for (std::uint32_t left = blocks_[row]; left != 0; left &= left - 1) {
        const std::size_t at = row * Index(columns_);
        add_row(levels_[Index(std::countr_zero(left))].data() + at, table_ + at, columns_);
      }
    }
  }

 private:
  using Index = std::size_t;

  std::int64_t columns_;
  Index size_;
  T* table_;
  PoolVector<std::uint32_t> blocks_;        // of each row, the full ones
  std::array<PoolVector<T>, 32> levels_{};  // [rows, columns], each made when it is needed
};

}  // namespace detail

/// The same sums, in one pass over x: rows[i] is the row that place i holds, below 0: none. The
/// table holds 0 before.
template <class T>
void sum_in_passing(std::span<const std::int64_t> rows, const T* x, std::int64_t columns,
                    std::int64_t table_rows, T* table) {
  PoolVector<std::int32_t> counts(static_cast<std::size_t>(table_rows));  // of the last block
  detail::TreesOfRows<T> trees(table_rows, columns, table);
  for (const std::int64_t row : rows) {
    if (row >= 0) {
      std::int32_t& count = counts[static_cast<std::size_t>(row)];
      // Not before another place comes: most rows have one block, which stays where it is.
      if (count == kRowsOfBlock) [[unlikely]] {
        trees.end_block(row);
        count = 0;
      }
      ++count;
      add_row(x, table + row * columns, columns);
    }
    x += columns;
  }
  trees.finish();
}

/// The same sums. Chooses the faster of the two.
template <class T>
void sum_taken(std::span<const std::int64_t> rows, const T* x, std::int64_t columns,
               std::int64_t table_rows, T* table) {
  if (sums_in_passing(std::ssize(rows), table_rows, columns)) {
    return sum_in_passing(rows, x, columns, table_rows, table);
  }
  sum_places(Occurrences(rows, table_rows), x, columns, table);
}

}  // namespace maskgrad::ops
