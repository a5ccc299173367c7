// A tile of one query, as text is generated: keys and features stand along the lanes of a vector,
// where ForwardTile would fill one lane with the query. Internal to attention.
#pragma once

#include <algorithm>
#include <limits>

#include <maskgrad/ops/cpu/attention/key_sums.hpp>
#include <maskgrad/ops/cpu/attention/problem.hpp>
#include <maskgrad/ops/cpu/attention/workspace.hpp>
#include <maskgrad/ops/cpu/gemm/row_dots.hpp>
#include <maskgrad/ops/cpu/rows/row_kernels.hpp>

namespace maskgrad::ops {

/// Each sum has the order that it has in ForwardTile, and so the same bits.
template <class T>
class OneQuery {
 public:
  static std::int64_t workspace(const AttentionProblem& p) {
    return whole_vectors<T>(p.features) + AttentionTiles::kKeys + size_of_sums(p);
  }

  OneQuery(const AttentionProblem& p, Workspace<T>& memory)
      : p_(p),
        query_(memory.take(whole_vectors<T>(p.features))),
        weights_(memory.take(AttentionTiles::kKeys)),
        sums_(size_of_sums(p), memory) {}

  /// Whether it computes a tile: one query, and every key of its blocks counts.
  static bool takes(const AttentionProblem& p, const QueryTile& queries,
                    std::span<const PairBlock> blocks) {
    return queries.count() == 1 && p.dropout == 0 && !p.softcap && !p.bias.defined() &&
           std::all_of(blocks.begin(), blocks.end(), [](const PairBlock& b) { return b.full; });
  }

  /// q, output, top, inverse_sum: those of the query; k, v: of the head.
  void run(std::span<const PairBlock> blocks, std::int64_t first_key, const T* q, const T* k,
           const T* v, T* output, T* top, T* inverse_sum) {
    const auto times_scale = [scale = static_cast<T>(p_.scale)](const Vec<T>& x) {
      return multiply_add(Vec<T>(scale), x, Vec<T>(T{}));  // + 0, as transpose() does
    };
    map_vectors(p_.features, query_, times_scale, q);
    sums_.start(size_of_sums(p_));
    top_ = -std::numeric_limits<T>::infinity();
    for (ChunkWalk walk(blocks, first_key); walk.next();) {
      sums_.start_group(walk.group());
      for (const PairBlock& part : walk.parts()) {
        fetch(part.keys(), p_.features, k + part.begin * p_.k.row, p_.k.row);
        fetch(part.keys(), p_.value_features, v + part.begin * p_.v.row, p_.v.row);
        weigh(part.keys(), k + part.begin * p_.k.row);
        add_values(part.keys(), v + part.begin * p_.v.row);
      }
    }
    sums_.finish();
    finish(output, top, inverse_sum);
  }

 private:
  // The values' sums in whole vectors, and a vector for the sum of the weights.
  static std::int64_t size_of_sums(const AttentionProblem& p) {
    return whole_vectors<T>(p.value_features) + kLanes<T>;
  }
  T& total() { return sums_.data()[whole_vectors<T>(p_.value_features)]; }

  // Asks for rows that no near cache holds, all at once: those of other heads stand between them.
  static void fetch(std::int64_t count, std::int64_t features, const T* x, std::int64_t row) {
    constexpr std::int64_t kLine = 64 / sizeof(T);
    for (std::int64_t t = 0; t < count; ++t, x += row) {
      for (std::int64_t d = 0; d < features; d += kLine) __builtin_prefetch(x + d);
    }
  }

  // The scores of `count` keys, and then their weights exp(score - top), top being the largest
  // score so far. What was summed with a smaller one is scaled down.
  void weigh(std::int64_t count, const T* keys) {
    dot_rows(query_, keys, p_.k.row, count, p_.features, weights_);
    const T nothing = -std::numeric_limits<T>::infinity(), before = top_;
    top_ = std::max(before, row_max(weights_, count));
    const T shift = top_ == nothing ? T{} : top_;  // -inf - -inf is NaN
    row_exp(weights_, shift, weights_, count);
    if (before != nothing && before != top_) scale_down(before - shift);
  }

  void scale_down(T difference) {
    const Vec<T> factor = xsimd::exp(Vec<T>(difference));
    sums_.for_each_table([&](T* table) {
      for (std::int64_t d = 0; d < size_of_sums(p_); d += kLanes<T>) {
        (factor * Vec<T>::load_unaligned(table + d)).store_unaligned(table + d);
      }
    });
  }

  // sums[d] += sum over t of v[t][d] weights[t], and the same of the weights themselves.
  void add_values(std::int64_t count, const T* values) {
    const std::int64_t features = p_.value_features;
    std::int64_t d = 0;
    T sum{};
    for (; d + 2 * kLanes<T> <= features; d += 2 * kLanes<T>)
      sum = add_columns<2>(count, values, d);
    for (; d < features; d += kLanes<T>) sum = add_columns<1>(count, values, d);
    total() += sum;
  }

  // Of some vectors of features from d on; the last may be a part, where it is the only one.
  // Returns the sum of the weights: each addition waits for the one before, as those of values do,
  // and so takes no time beside them.
  template <int kVectors>
  T add_columns(std::int64_t count, const T* values, std::int64_t d) {
    const std::int64_t last = std::min(kLanes<T>, p_.value_features - d);
    const T* const weights = weights_;
    T of_weights{};
    Vec<T> sums[kVectors];
    detail::unrolled<kVectors>([&](auto i) MASKGRAD_INLINE { sums[i] = Vec<T>(T{}); });
    values += d;
    for (std::int64_t t = 0; t < count; ++t, values += p_.v.row) {
      of_weights += weights[t];
      const Vec<T> weight(weights[t]);
      detail::unrolled<kVectors>([&](auto i) MASKGRAD_INLINE {
        const T* const from = values + i * kLanes<T>;
        const Vec<T> x = kVectors == 1 ? load_first(from, last) : Vec<T>::load_unaligned(from);
        sums[i] = multiply_add(x, weight, sums[i]);
      });
    }
    T* const to = sums_.data() + d;
    detail::unrolled<kVectors>([&](auto i) MASKGRAD_INLINE {
      T* const table = to + i * kLanes<T>;
      (Vec<T>::load_unaligned(table) + sums[i]).store_unaligned(table);
    });
    return of_weights;
  }

  void finish(T* output, T* top, T* inverse_sum) {
    const T sum = total();
    const bool is_empty = sum == T{};
    const auto over_sum = [=](const Vec<T>& x) { return is_empty ? Vec<T>(T{}) : x / Vec<T>(sum); };
    map_vectors(p_.value_features, output, over_sum, static_cast<const T*>(sums_.data()));
    *top = is_empty ? T{} : top_;
    *inverse_sum = is_empty ? T{} : T{1} / sum;
  }

  const AttentionProblem& p_;
  T *query_, *weights_;  // of the query, scaled; of a chunk of keys: scores, then weights
  KeySums<T> sums_;
  T top_ = {};
};

}  // namespace maskgrad::ops
