// The scores of one tile of queries, chunk by chunk of keys. Internal to attention.
//
// Everything stands with queries along the lanes of a vector: scores [keys][queries]. So softmax
// needs no sum across lanes, keys and values are read where they stand, element by element, and
// only the tile of queries is transposed.
#pragma once

#include <maskgrad/ops/attention/problem.hpp>
#include <maskgrad/ops/block_product.hpp>
#include <maskgrad/ops/transpose.hpp>

namespace maskgrad::ops {

/// Memory for a task, cut up from one block.
template <class T>
class Workspace {
 public:
  explicit Workspace(std::int64_t elements)
      : block_(Tensor::empty({elements}, dtype_of<T>)), next_(block_.template data<T>()) {}

  T* take(std::int64_t elements) { return std::exchange(next_, next_ + elements); }

 private:
  Tensor block_;
  T* next_;
};

/// Some keys [begin, end) of one chunk.
struct KeyChunk {
  std::int64_t begin, end;
  bool full;  // nothing to mask

  std::int64_t size() const { return end - begin; }
};

template <class T>
class ScoreTile {
 public:
  /// Elements of workspace that a tile takes.
  static std::int64_t workspace(const AttentionProblem& p) {
    const std::int64_t columns = max_columns(p), table = max_keys(p) * columns;
    return p.features * columns + 2 * columns +
           table * (1 + has_bits(p) + (p.dropout > 0) + bool(p.softcap));
  }
  static std::int64_t max_columns(const AttentionProblem& p) {
    return whole_vectors<T>(std::min(AttentionTiles::kQueries, p.queries));
  }
  static std::int64_t max_keys(const AttentionProblem& p) {
    return std::min(AttentionTiles::kKeys, p.keys);
  }

  ScoreTile(const AttentionProblem& p, Workspace<T>& memory) : p_(p) {
    const std::int64_t columns = max_columns(p), table = max_keys(p) * columns;
    queries_ = memory.take(p.features * columns);
    low_ = memory.take(columns);
    high_ = memory.take(columns);
    keep_ = memory.take(table);
    if (has_bits(p)) bits_ = memory.take(table);
    if (p.dropout > 0) drop_ = memory.take(table);
    if (p.softcap) cap_slope_ = memory.take(table);
  }

  /// Takes on tile `tile` of head (b, h), whose queries stand at q [S, D].
  void start(std::int64_t b, std::int64_t h, std::int64_t tile, const T* q) {
    b_ = b;
    h_ = h;
    first_ = tile * AttentionTiles::kQueries;
    count_ = std::min(AttentionTiles::kQueries, p_.queries - first_);
    columns_ = whole_vectors<T>(count_);
    transpose<true>(q + first_ * p_.features, p_.features, count_, p_.features,
                    static_cast<T>(p_.scale), queries_, columns_);
  }

  std::int64_t first() const { return first_; }      // query
  std::int64_t count() const { return count_; }      // queries
  std::int64_t columns() const { return columns_; }  // count() in whole vectors

  /// scores[t][s] of the chunk's keys, capped and with the bias; nothing is masked yet. k: [T, D].
  void scores(const KeyChunk& chunk, const T* k, T* scores) {
    const Strided<T> keys = {k + chunk.begin * p_.features, p_.features, 1};
    block_product<false>(chunk.size(), columns_, p_.features, keys, queries_, columns_,
                         StoreTo<T>{scores, columns_});
    if (p_.softcap) cap(chunk, scores);
    if (p_.bias.defined()) add_bias(chunk, scores);
    if (!chunk.full) write_keep(chunk);
    if (p_.dropout > 0) write_drop(chunk);
  }

  /// [keys][columns]: 1 where kept, 0 elsewhere. Of the last chunk given to scores(), if not full.
  const T* keep() const { return keep_; }
  xsimd::batch_bool<T> kept(std::int64_t at) const {
    return Vec<T>::load_unaligned(keep_ + at) != Vec<T>(T{});
  }
  /// What the dropout multiplies a weight with: 0 or 1 / (1 - p). Only with a dropout.
  Vec<T> drop(std::int64_t at) const { return Vec<T>::load_unaligned(drop_ + at); }
  /// The derivative of the cap. Only with a softcap.
  Vec<T> cap_slope(std::int64_t at) const { return Vec<T>::load_unaligned(cap_slope_ + at); }

 private:
  void cap(const KeyChunk& chunk, T* scores) {
    const Vec<T> c(static_cast<T>(*p_.softcap)), one(T{1});
    for (std::int64_t at = 0; at < chunk.size() * columns_; at += kLanes<T>) {
      const Vec<T> tanh = xsimd::tanh(Vec<T>::load_unaligned(scores + at) / c);
      (one - tanh * tanh).store_unaligned(cap_slope_ + at);
      (c * tanh).store_unaligned(scores + at);
    }
  }

  void add_bias(const KeyChunk& chunk, T* scores) const {
    const auto stride = AttentionProblem::strides_of(p_.bias.shape());
    const T* bias = p_.bias.data<T>() + b_ * stride[0] + h_ * stride[1] + first_ * stride[2];
    for (std::int64_t t = 0; t < chunk.size(); ++t) {
      const T* of_key = bias + (chunk.begin + t) * stride[3];
      for (std::int64_t s = 0; s < count_; ++s) scores[t * columns_ + s] += of_key[s * stride[2]];
    }
  }

  void write_keep(const KeyChunk& chunk) {
    if (has_bits(p_)) return write_keep_of_bits(chunk);
    for (int i = 0; i < p_.mask.intervals_per_row(); ++i) add_intervals(chunk, i);
  }

  // Interval i of each row: the first overwrites the table, the second adds to it.
  void add_intervals(const KeyChunk& chunk, int i) {
    const auto in_chunk = [&](std::int32_t key) {
      return static_cast<T>(std::clamp<std::int64_t>(key - chunk.begin, 0, chunk.size()));
    };
    for (std::int64_t s = 0; s < columns_; ++s) {
      const KeyInterval run =
          s < count_ ? p_.mask.intervals(b_, h_, first_ + s)[static_cast<std::size_t>(i)]
                     : KeyInterval{};
      low_[s] = in_chunk(run.lo);
      high_[s] = in_chunk(run.hi);
    }
    const Vec<T> one(T{1}), zero(T{});
    for (std::int64_t s = 0; s < columns_; s += kLanes<T>) {
      const Vec<T> low = Vec<T>::load_unaligned(low_ + s), high = Vec<T>::load_unaligned(high_ + s);
      for (std::int64_t t = 0; t < chunk.size(); ++t) {
        T* to = keep_ + t * columns_ + s;
        const Vec<T> key(static_cast<T>(t));
        const Vec<T> before = i == 0 ? zero : Vec<T>::load_unaligned(to);
        xsimd::select((low <= key) & (key < high), one, before).store_unaligned(to);
      }
    }
  }

  static bool has_bits(const AttentionProblem& p) {
    return p.mask.form() == AttentionMask::Form::kBits;
  }

  // Row by row first, then transposed: writing them where they belong, one at a time, would take
  // nearly as long as the products.
  void write_keep_of_bits(const KeyChunk& chunk) {
    for (std::int64_t s = 0; s < count_; ++s) {
      const bool* bits = p_.mask.row_bits(b_, h_, first_ + s) + chunk.begin;
      T* row = bits_ + s * chunk.size();
      for (std::int64_t t = 0; t < chunk.size(); ++t) row[t] = static_cast<T>(bits[t]);
    }
    transpose<true>(bits_, chunk.size(), count_, chunk.size(), T{1}, keep_, columns_);
  }

  // The same numbers as a dropout() of all weights [B, H, S, T] would draw.
  void write_drop(const KeyChunk& chunk) {
    const T factor = static_cast<T>(1 / (1 - p_.dropout));
    for (std::int64_t s = 0; s < count_; ++s) {
      const std::int64_t row = (b_ * p_.heads + h_) * p_.queries + first_ + s;
      Random random = p_.random;
      random.skip_uniforms(static_cast<std::uint64_t>(row * p_.keys + chunk.begin));
      for (std::int64_t t = 0; t < chunk.size(); ++t) {
        drop_[t * columns_ + s] = random.uniform() >= p_.dropout ? factor : T{};
      }
    }
    for (std::int64_t t = 0; t < chunk.size(); ++t) {
      std::fill(drop_ + t * columns_ + count_, drop_ + (t + 1) * columns_, T{});
    }
  }

  const AttentionProblem& p_;
  std::int64_t b_ = 0, h_ = 0, first_ = 0, count_ = 0, columns_ = 0;
  T* queries_;  // scaled, [D][columns]
  T *low_, *high_;
  T* keep_;
  T* bits_ = nullptr;
  T* drop_ = nullptr;
  T* cap_slope_ = nullptr;
};

}  // namespace maskgrad::ops
