// The scores of one tile of queries, chunk by chunk of keys. Internal to attention.
//
// Everything stands with queries along the lanes of a vector: scores [keys][queries]. So softmax
// needs no sum across lanes, keys and values are read where they stand, element by element, and
// only the tile of queries is transposed.
#pragma once

#include <maskgrad/ops/attention/keep_table.hpp>
#include <maskgrad/ops/block_product.hpp>
#include <maskgrad/ops/transpose.hpp>

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

  /// Takes on tile `tile` of head (b, h), whose queries stand at q [S, D].
  void start(std::int64_t b, std::int64_t h, std::int64_t tile, const T* q) {
    const std::int64_t first = tile * AttentionTiles::kQueries;
    const std::int64_t count = std::min(AttentionTiles::kQueries, p_.queries - first);
    place_ = {b, h, first, count, whole_vectors<T>(count)};
    transpose<true>(q + first * p_.features, p_.features, count, p_.features,
                    static_cast<T>(p_.scale), queries_, place_.columns);
  }

  std::int64_t first() const { return place_.first; }      // query
  std::int64_t count() const { return place_.count; }      // queries
  std::int64_t columns() const { return place_.columns; }  // count() in whole vectors

  /// scores[t][s] of the chunk's keys, capped and with the bias; nothing is masked yet. k: [T, D].
  void scores(const KeyChunk& chunk, const T* k, T* scores) {
    const Strided<T> keys = {k + chunk.begin * p_.features, p_.features, 1};
    block_product<false>(chunk.size(), place_.columns, p_.features, keys, queries_, place_.columns,
                         StoreTo<T>{scores, place_.columns});
    if (p_.softcap) cap(chunk, scores);
    if (p_.bias.defined()) add_bias(chunk, scores);
    if (!chunk.full) keep_.write(chunk, place_);
    if (p_.dropout > 0) write_drop(chunk);
  }

  /// Which pairs of the last chunk given to scores() are kept, if it is not full.
  const KeepTable<T>& keep() const { return keep_; }
  /// What the dropout multiplies a weight with: 0 or 1 / (1 - p). Only with a dropout.
  Vec<T> drop(std::int64_t at) const { return Vec<T>::load_unaligned(drop_ + at); }
  /// The derivative of the cap. Only with a softcap.
  Vec<T> cap_slope(std::int64_t at) const { return Vec<T>::load_unaligned(cap_slope_ + at); }

 private:
  void cap(const KeyChunk& chunk, T* scores) {
    const Vec<T> c(static_cast<T>(*p_.softcap)), one(T{1});
    for (std::int64_t at = 0; at < chunk.size() * place_.columns; at += kLanes<T>) {
      const Vec<T> tanh = xsimd::tanh(Vec<T>::load_unaligned(scores + at) / c);
      (one - tanh * tanh).store_unaligned(cap_slope_ + at);
      (c * tanh).store_unaligned(scores + at);
    }
  }

  void add_bias(const KeyChunk& chunk, T* scores) const {
    const auto stride = AttentionProblem::strides_of(p_.bias.shape());
    const T* bias =
        p_.bias.data<T>() + place_.b * stride[0] + place_.h * stride[1] + place_.first * stride[2];
    for (std::int64_t t = 0; t < chunk.size(); ++t) {
      const T* of_key = bias + (chunk.begin + t) * stride[3];
      for (std::int64_t s = 0; s < place_.count; ++s)
        scores[t * place_.columns + s] += of_key[s * stride[2]];
    }
  }

  // The same numbers as a dropout() of all weights [B, H, S, T] would draw.
  void write_drop(const KeyChunk& chunk) {
    const T factor = static_cast<T>(1 / (1 - p_.dropout));
    for (std::int64_t s = 0; s < place_.count; ++s) {
      const std::int64_t row = (place_.b * p_.heads + place_.h) * p_.queries + place_.first + s;
      Random random = p_.random;
      random.skip_uniforms(static_cast<std::uint64_t>(row * p_.keys + chunk.begin));
      for (std::int64_t t = 0; t < chunk.size(); ++t) {
        drop_[t * place_.columns + s] = random.uniform() >= p_.dropout ? factor : T{};
      }
    }
    for (std::int64_t t = 0; t < chunk.size(); ++t) {
      std::fill(drop_ + t * place_.columns + place_.count, drop_ + (t + 1) * place_.columns, T{});
    }
  }

  const AttentionProblem& p_;
  QueryTile place_{};
  T* queries_;  // scaled, [D][columns]
  KeepTable<T> keep_;
  T* drop_ = nullptr;
  T* cap_slope_ = nullptr;
};

}  // namespace maskgrad::ops
