// Which pairs of a block are kept. Internal to attention.
#pragma once

#include <algorithm>

#include <maskgrad/ops/cpu/attention/problem.hpp>
#include <maskgrad/ops/cpu/attention/workspace.hpp>
#include <maskgrad/ops/cpu/vector/transpose.hpp>

namespace maskgrad::ops {

/// [keys][columns]: 1 where kept, 0 elsewhere and in the lanes beyond the block's queries.
template <class T>
class KeepTable {
 public:
  /// Elements of workspace for up to `keys` x `columns`.
  static std::int64_t workspace(const AttentionProblem& p, std::int64_t keys,
                                std::int64_t columns) {
    return keys * columns + (has_bits(p) ? keys * columns : 2 * columns);
  }

  KeepTable(const AttentionProblem& p, std::int64_t keys, std::int64_t columns,
            Workspace<T>& memory)
      : mask_(p.mask), table_(memory.take(keys * columns)) {
    if (has_bits(p)) {
      bits_ = memory.take(keys * columns);
    } else {
      low_ = memory.take(columns);
      high_ = memory.take(columns);
    }
  }

  /// `columns`: the block's queries in whole vectors.
  void write(const PairBlock& block, const QueryTile& tile, std::int64_t columns) {
    if (bits_) return write_bits(block, tile, columns);
    for (int i = 0; i < mask_.intervals_per_row(); ++i) add_intervals(block, tile, columns, i);
  }

  const T* data() const { return table_; }
  /// The vector from element `at` on.
  xsimd::batch_bool<T> operator[](std::int64_t at) const {
    return Vec<T>::load_unaligned(table_ + at) != Vec<T>(T{});
  }

 private:
  static bool has_bits(const AttentionProblem& p) {
    return p.mask.form() == AttentionMask::Form::kBits;
  }

  // Row by row first, then transposed: writing them where they belong, one at a time, would take
  // nearly as long as the products.
  void write_bits(const PairBlock& block, const QueryTile& tile, std::int64_t columns) {
    const std::int64_t keys = block.keys();
    for (std::int64_t s = 0; s < block.queries(); ++s) {
      const bool* bits = mask_.row_bits(tile.b, tile.h, block.first + s) + block.begin;
      T* row = bits_ + s * keys;
      for (std::int64_t t = 0; t < keys; ++t) row[t] = static_cast<T>(bits[t]);
    }
    transpose<true>(bits_, keys, block.queries(), keys, T{1}, table_, columns);
  }

  // Interval i of each row: the first overwrites the table, the second adds to it.
  void add_intervals(const PairBlock& block, const QueryTile& tile, std::int64_t columns, int i) {
    read_intervals(block, tile, columns, static_cast<std::size_t>(i));
    const Vec<T> one(T{1}), zero(T{});
    for (std::int64_t s = 0; s < columns; s += kLanes<T>) {
      const Vec<T> low = Vec<T>::load_unaligned(low_ + s), high = Vec<T>::load_unaligned(high_ + s);
      for (std::int64_t t = 0; t < block.keys(); ++t) {
        T* to = table_ + t * columns + s;
        const Vec<T> key(static_cast<T>(t));
        const Vec<T> before = i == 0 ? zero : Vec<T>::load_unaligned(to);
        xsimd::select((low <= key) & (key < high), one, before).store_unaligned(to);
      }
    }
  }

  // Interval i of each row, counted from the block's first key; nothing beyond the queries.
  void read_intervals(const PairBlock& block, const QueryTile& tile, std::int64_t columns,
                      std::size_t i) {
    const auto in_block = [&](std::int32_t key) {
      return static_cast<T>(std::clamp<std::int64_t>(key - block.begin, 0, block.keys()));
    };
    for (std::int64_t s = 0; s < columns; ++s) {
      const KeyInterval run =
          s < block.queries() ? mask_.intervals(tile.b, tile.h, block.first + s)[i] : KeyInterval{};
      low_[s] = in_block(run.lo);
      high_[s] = in_block(run.hi);
    }
  }

  const AttentionMask& mask_;
  T* table_;
  T *low_ = nullptr, *high_ = nullptr;  // of a mask of intervals: of each query
  T* bits_ = nullptr;                   // of a mask of bits: [queries][keys]
};

}  // namespace maskgrad::ops
