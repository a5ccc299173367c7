// Which pairs of a tile of queries and a chunk of keys are kept. Internal to attention.
#pragma once

#include <algorithm>

#include <maskgrad/ops/attention/problem.hpp>
#include <maskgrad/ops/attention/workspace.hpp>
#include <maskgrad/ops/transpose.hpp>

namespace maskgrad::ops {

/// [keys][columns]: 1 where kept, 0 elsewhere and in the lanes beyond the tile's queries.
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

  void write(const KeyChunk& chunk, const QueryTile& tile) {
    if (bits_) return write_bits(chunk, tile);
    for (int i = 0; i < mask_.intervals_per_row(); ++i) add_intervals(chunk, tile, i);
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
  void write_bits(const KeyChunk& chunk, const QueryTile& tile) {
    for (std::int64_t s = 0; s < tile.count; ++s) {
      const bool* bits = mask_.row_bits(tile.b, tile.h, tile.first + s) + chunk.begin;
      T* row = bits_ + s * chunk.size();
      for (std::int64_t t = 0; t < chunk.size(); ++t) row[t] = static_cast<T>(bits[t]);
    }
    transpose<true>(bits_, chunk.size(), tile.count, chunk.size(), T{1}, table_, tile.columns);
  }

  // Interval i of each row: the first overwrites the table, the second adds to it.
  void add_intervals(const KeyChunk& chunk, const QueryTile& tile, int i) {
    read_intervals(chunk, tile, static_cast<std::size_t>(i));
    const Vec<T> one(T{1}), zero(T{});
    for (std::int64_t s = 0; s < tile.columns; s += kLanes<T>) {
      const Vec<T> low = Vec<T>::load_unaligned(low_ + s), high = Vec<T>::load_unaligned(high_ + s);
      for (std::int64_t t = 0; t < chunk.size(); ++t) {
        T* to = table_ + t * tile.columns + s;
        const Vec<T> key(static_cast<T>(t));
        const Vec<T> before = i == 0 ? zero : Vec<T>::load_unaligned(to);
        xsimd::select((low <= key) & (key < high), one, before).store_unaligned(to);
      }
    }
  }

  // Interval i of each row, counted from the chunk's first key; nothing beyond the queries.
  void read_intervals(const KeyChunk& chunk, const QueryTile& tile, std::size_t i) {
    const auto in_chunk = [&](std::int32_t key) {
      return static_cast<T>(std::clamp<std::int64_t>(key - chunk.begin, 0, chunk.size()));
    };
    for (std::int64_t s = 0; s < tile.columns; ++s) {
      const KeyInterval run =
          s < tile.count ? mask_.intervals(tile.b, tile.h, tile.first + s)[i] : KeyInterval{};
      low_[s] = in_chunk(run.lo);
      high_[s] = in_chunk(run.hi);
    }
  }

  const AttentionMask& mask_;
  T* table_;
  T *low_ = nullptr, *high_ = nullptr;  // of a mask of intervals: of each query
  T* bits_ = nullptr;                   // of a mask of bits: [queries][keys]
};

}  // namespace maskgrad::ops
