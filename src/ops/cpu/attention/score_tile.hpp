// The scores of one tile of queries, block by block. Internal to attention.
//
// Everything stands with queries along the lanes of a vector: scores [keys][queries]. So softmax
// needs no sum across lanes, keys and values are read where they stand, element by element, and
// only the tile of queries is transposed.
#pragma once

#include <maskgrad/ops/cpu/attention/keep_table.hpp>
#include <maskgrad/ops/cpu/gemm/sum_products.hpp>
#include <maskgrad/ops/cpu/vector/transpose.hpp>
#include <maskgrad/ops/functors/fast_tanh.hpp>

namespace maskgrad::ops {

template <class T>
class ScoreTile {
 public:
  /// Elements of workspace that a tile takes.
  static std::int64_t workspace(const AttentionProblem& p) {
    const std::int64_t columns = max_columns(p), table = max_keys(p) * columns;
    return p.features * columns + KeepTable<T>::workspace(p, max_keys(p), columns) +
           table * ((p.dropout > 0) + bool(p.softcap));
  }
  static std::int64_t max_columns(const AttentionProblem& p) {
    return whole_vectors<T>(std::min(AttentionTiles::kQueries, p.queries));
  }
  static std::int64_t max_keys(const AttentionProblem& p) {
    return std::min(AttentionTiles::kKeys, p.keys);
  }

  ScoreTile(const AttentionProblem& p, Workspace<T>& memory)
      : p_(p), keep_(p, max_keys(p), max_columns(p), memory) {
    const std::int64_t columns = max_columns(p), table = max_keys(p) * columns;
    queries_ = memory.take(p.features * columns);
    if (p.dropout > 0) drop_ = memory.take(table);
    if (p.softcap) cap_slope_ = memory.take(table);
  }

  /// Takes on these queries, of a head whose queries stand from q on.
  void start(const QueryTile& tile, const T* q) {
    tile_ = tile;
    stride_ = whole_vectors<T>(tile.count());
    transpose<true>(q + tile.first * p_.q.row, p_.q.row, tile.count(), p_.features,
                    static_cast<T>(p_.scale), queries_, stride_);
  }

  /// The columns of tables of the whole tile: its queries in whole vectors.
  std::int64_t stride() const { return stride_; }

  /// scores[t][s], [keys][columns] of the block, capped and with the bias; nothing is masked yet.
  /// k: where the head's keys stand.
  void scores(const PairBlock& block, const T* k, T* scores) {
    columns_ = whole_vectors<T>(block.queries());
    offset_ = block.first - tile_.first;
    multiply_keys(block, k, p_.k.row, p_.features, queries_, scores);
    if (p_.softcap) cap(block, scores);
    if (p_.bias.defined()) add_bias(block, scores);
    if (!block.full) keep_.write(block, tile_, columns_);
    if (p_.dropout > 0) write_drop(block);
  }

  /// to[t][s] = sum_d x_t[d] columns[d][s], [keys][columns] of the last block given to scores().
  /// x: something of each of the head's keys, `row` elements apart; columns: of the tile's queries
  /// [features][stride].
  void multiply_keys(const PairBlock& block, const T* x, std::int64_t row, std::int64_t features,
                     const T* columns, T* to) const {
    const Strided<T> keys = {x + block.begin * row, row, 1};
    sum_products<false>(block.keys(), columns_, features, keys, columns + offset_, stride_,
                        store_to(to, columns_));
  }

  /// Of the last block given to scores(): the columns of its tables, and the first of them among
  /// those of the tile.
  std::int64_t columns() const { return columns_; }
  std::int64_t offset() const { return offset_; }
  /// Which of its pairs are kept, if it is not full.
  const KeepTable<T>& keep() const { return keep_; }
  /// What the dropout multiplies a weight with: 0 or 1 / (1 - p). Only with a dropout.
  Vec<T> drop(std::int64_t at) const { return Vec<T>::load_unaligned(drop_ + at); }
  /// The derivative of the cap. Only with a softcap.
  Vec<T> cap_slope(std::int64_t at) const { return Vec<T>::load_unaligned(cap_slope_ + at); }

 private:
  void cap(const PairBlock& block, T* scores) {
    const Vec<T> c(static_cast<T>(*p_.softcap)), one(T{1});
    for (std::int64_t at = 0; at < block.keys() * columns_; at += kLanes<T>) {
      const Vec<T> tanh = math::fast_tanh(Vec<T>::load_unaligned(scores + at) / c);
      multiply_add(math::negative(tanh), tanh, one).store_unaligned(cap_slope_ + at);
      (c * tanh).store_unaligned(scores + at);
    }
  }

  void add_bias(const PairBlock& block, T* scores) const {
    const auto& stride = p_.bias_stride;
    const T* bias =
        p_.bias.data<T>() + tile_.b * stride[0] + tile_.h * stride[1] + block.first * stride[2];
    for (std::int64_t t = 0; t < block.keys(); ++t) {
      const T* of_key = bias + (block.begin + t) * stride[3];
      for (std::int64_t s = 0; s < block.queries(); ++s)
        scores[t * columns_ + s] += of_key[s * stride[2]];
    }
  }

  // The same numbers as a dropout() of all weights [B, H, S, T] would draw.
  void write_drop(const PairBlock& block) {
    const T factor = static_cast<T>(1 / (1 - p_.dropout));
    for (std::int64_t s = 0; s < block.queries(); ++s) {
      const std::int64_t row = (tile_.b * p_.heads + tile_.h) * p_.queries + block.first + s;
      Random random = *p_.random;
      random.skip_uniforms(static_cast<std::uint64_t>(row * p_.keys + block.begin));
      for (std::int64_t t = 0; t < block.keys(); ++t) {
        drop_[t * columns_ + s] = random.uniform() >= p_.dropout ? factor : T{};
      }
    }
    for (std::int64_t t = 0; t < block.keys(); ++t) {
      std::fill(drop_ + t * columns_ + block.queries(), drop_ + (t + 1) * columns_, T{});
    }
  }

  const AttentionProblem& p_;
  QueryTile tile_{};
  std::int64_t stride_ = 0, columns_ = 0, offset_ = 0;
  T* queries_;  // scaled, [D][stride]
  KeepTable<T> keep_;
  T* drop_ = nullptr;
  T* cap_slope_ = nullptr;
};

}  // namespace maskgrad::ops
