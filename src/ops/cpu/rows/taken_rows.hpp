// Where each row of a table was taken, and the kernels that take rows and sum over their places.
// Internal to src/ops.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <span>
#include <utility>

#include <maskgrad/tensor/cpu/pool_allocator.hpp>
#include <maskgrad/tensor/cpu/row_sums.hpp>
#include <maskgrad/tensor/cuda/kernel_slot.hpp>

namespace maskgrad::ops {

/// y[i] = table[rows[i]], 0 where that is below 0. y [places, columns], of any shape.
inline constinit CudaKernel<void(std::span<const std::int64_t> rows, const Tensor& table,
                                 Tensor& y)>
    kTakeRowsCuda{"embedding"};
/// table[row] = sum of x[i] over the places i where rows[i] is this row, for all rows that have
/// one; the others stay. In the order of sum_places().
inline constinit CudaKernel<void(std::span<const std::int64_t> rows, const Tensor& x,
                                 Tensor& table)>
    kSumTakenCuda{"embedding"};

/// The places of each row of a table, in their order, in blocks of kRowsOfBlock.
class Occurrences {
 public:
  /// rows[i]: the row that place i holds; below 0: none. Takes time in proportion to the places.
  Occurrences(std::span<const std::int64_t> rows, std::int64_t table) {
    if (std::ssize(rows) > table / 8) {
      count(rows, table);
    } else {
      sort(rows);
    }
  }

  /// Places [begin, end) of a row; `part`: its number among the blocks of rows with several, or -1.
  struct Block {
    std::int64_t row, begin, end, part;
  };
  const PoolVector<Block>& blocks() const { return blocks_; }
  std::int64_t parts() const { return parts_; }
  std::span<const std::int64_t> places() const { return places_; }
  std::span<const std::int64_t> places(const Block& block) const {
    return {places_.data() + block.begin, Index(block.end - block.begin)};
  }

 private:
  using Index = std::size_t;

  void add_blocks(std::int64_t row, std::int64_t begin, std::int64_t end) {
    const bool is_one = end - begin <= kRowsOfBlock;
    for (; begin < end; begin += kRowsOfBlock) {
      blocks_.push_back({row, begin, std::min(begin + kRowsOfBlock, end), is_one ? -1 : parts_++});
    }
  }
  void count(std::span<const std::int64_t> rows, std::int64_t table) {
    // Of each row: first how many places it has, then where they begin, at last where they end.
    PoolVector<std::int64_t> ends(static_cast<std::size_t>(table));
    for (const std::int64_t row : rows) {
      if (row >= 0) ++ends[Index(row)];
    }
    std::int64_t size = 0;
    for (std::int64_t& end : ends) {
      const std::int64_t places = end;
      end = size;
      size += places;
    }
    places_.resize(Index(size));
    blocks_.reserve(Index(std::min(table, size) + size / kRowsOfBlock));
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i] >= 0) places_[Index(ends[Index(rows[i])]++)] = static_cast<std::int64_t>(i);
    }
    std::int64_t begin = 0;
    for (std::int64_t row = 0; row < table; ++row) {
      add_blocks(row, begin, ends[Index(row)]);
      begin = ends[Index(row)];
    }
  }
  void sort(std::span<const std::int64_t> rows) {
    places_.reserve(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i] >= 0) places_.push_back(static_cast<std::int64_t>(i));
    }
    const auto row_of = [&](std::int64_t place) { return rows[Index(place)]; };
    std::sort(places_.begin(), places_.end(), [&](std::int64_t a, std::int64_t b) {
      return std::pair(row_of(a), a) < std::pair(row_of(b), b);
    });
    for (auto begin = places_.begin(); begin != places_.end();) {
      const auto end = std::find_if(begin, places_.end(),
                                    [&](auto place) { return row_of(place) != row_of(*begin); });
      add_blocks(row_of(*begin), begin - places_.begin(), end - places_.begin());
      begin = end;
    }
  }

  PoolVector<std::int64_t> places_;
  PoolVector<Block> blocks_;
  std::int64_t parts_ = 0;
};

}  // namespace maskgrad::ops
