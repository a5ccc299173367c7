#include <limits>

#include <maskgrad/ops/cpu/attention/careful_product.hpp>
#include <maskgrad/ops/cpu/attention/key_sums.hpp>
#include <maskgrad/ops/cpu/attention/score_tile.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>

namespace maskgrad::ops {
namespace {

// One tile of queries from its scores to its output, softmax computed as chunks of keys come in
// (Milakov & Gimelshein 2018).
template <class T>
class ForwardTile {
 public:
  static std::int64_t workspace(const AttentionProblem& p) {
    const std::int64_t columns = ScoreTile<T>::max_columns(p);
    return ScoreTile<T>::workspace(p) +
           columns * (ScoreTile<T>::max_keys(p) + p.value_features + 2);
  }

  ForwardTile(const AttentionProblem& p, Workspace<T>& memory)
      : p_(p),
        tile_(p, memory),
        sums_((p.value_features + 1) * ScoreTile<T>::max_columns(p), memory) {
    const std::int64_t columns = ScoreTile<T>::max_columns(p);
    weights_ = memory.take(ScoreTile<T>::max_keys(p) * columns);
    top_ = memory.take(columns);
  }

  // q, k, v, ...: those of head (b, h).
  void run(std::int64_t b, std::int64_t h, std::int64_t tile, const T* q, const T* k, const T* v,
           T* output, T* top, T* inverse_sum) {
    const std::span<const PairBlock> blocks = p_.tiles.blocks(b, h, tile);
    const QueryTile queries = queries_of(b, h, blocks);
    tile_.start(queries, q);
    sums_.start((p_.value_features + 1) * tile_.stride());
    std::fill_n(top_, tile_.stride(), -std::numeric_limits<T>::infinity());
    for (ChunkWalk walk(blocks, p_.tiles.first_key(b)); walk.next();) {
      sums_.start_group(walk.group());
      for (const PairBlock& part : walk.parts()) add(part, k, v);
    }
    sums_.finish();
    finish(queries, output, top, inverse_sum);
    const auto write_zeros = [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t s = first; s < last; ++s) {
        std::fill_n(output + s * p_.output.row, p_.value_features, T{});
      }
      std::fill(top + first, top + last, T{});
      std::fill(inverse_sum + first, inverse_sum + last, T{});
    };
    p_.for_others(tile, queries, write_zeros);
  }

 private:
  void add(const PairBlock& block, const T* k, const T* v) {
    tile_.scores(block, k, weights_);
    const std::int64_t columns = tile_.columns(), features = p_.value_features;
    for (std::int64_t s = 0; s < columns; s += kLanes<T>) weigh(block, s);
    const Strided<T> values = {v + block.begin * p_.v.row, 1, p_.v.row};
    const Sums<T> sums = add_to(sums_.data() + tile_.offset(), tile_.stride());
    if (block.full || all_finite_rows(values.data, block.keys(), features, p_.v.row)) {
      block_product<false>(features, columns, block.keys(), values, weights_, columns, sums);
    } else {
      product_of_kept_columns(features, columns, block.keys(), values, weights_,
                              tile_.keep().data(), sums);
    }
  }

  // Turns a vector of queries' scores, that of the block's columns from s on, into weights
  // exp(score - top), top being the largest score so far. What was summed with a smaller one is
  // scaled down.
  void weigh(const PairBlock& block, std::int64_t s) {
    const std::int64_t columns = tile_.columns(), end = block.keys() * columns;
    const std::int64_t of_tile = tile_.offset() + s;
    const Vec<T> nothing(-std::numeric_limits<T>::infinity()), zero(T{});
    const Vec<T> before = Vec<T>::load_unaligned(top_ + of_tile);
    Vec<T> top = before;
    for (std::int64_t at = s; at < end; at += columns) {
      Vec<T> score = Vec<T>::load_unaligned(weights_ + at);
      if (!block.full) {
        score = xsimd::select(tile_.keep()[at], score, nothing);
        score.store_unaligned(weights_ + at);
      }
      top = xsimd::max(top, score);
    }
    top.store_unaligned(top_ + of_tile);
    const Vec<T> shift = xsimd::select(top == nothing, zero, top);  // -inf - -inf is NaN
    Vec<T> sum = zero;
    for (std::int64_t at = s; at < end; at += columns) {
      const Vec<T> weight = math::fast_exp(Vec<T>::load_unaligned(weights_ + at) - shift);
      sum += weight;
      (p_.dropout > 0 ? weight * tile_.drop(at) : weight).store_unaligned(weights_ + at);
    }
    if (!xsimd::all(before == nothing)) scale_down(of_tile, math::fast_exp(before - shift));
    T* const total = totals() + of_tile;
    (Vec<T>::load_unaligned(total) + sum).store_unaligned(total);
  }

  void scale_down(std::int64_t s, const Vec<T>& factor) {
    if (xsimd::all(factor == Vec<T>(T{1}))) return;
    sums_.for_each_table([&](T* table) {
      for (std::int64_t d = 0; d <= p_.value_features; ++d) {
        T* sums = table + d * tile_.stride() + s;
        (factor * Vec<T>::load_unaligned(sums)).store_unaligned(sums);
      }
    });
  }

  // The sum of each query's weights.
  T* totals() { return sums_.data() + p_.value_features * tile_.stride(); }

  // output, top, inverse_sum: those of the head.
  void finish(const QueryTile& queries, T* output, T* top, T* inverse_sum) {
    for (std::int64_t s = 0; s < tile_.stride(); s += kLanes<T>) {
      const Vec<T> total = Vec<T>::load_unaligned(totals() + s), zero(T{});
      const auto is_empty = total == zero;
      for (std::int64_t d = 0; d < p_.value_features; ++d) {
        T* sums = sums_.data() + d * tile_.stride() + s;
        xsimd::select(is_empty, zero, Vec<T>::load_unaligned(sums) / total).store_unaligned(sums);
      }
      const std::int64_t first = queries.first + s, n = std::min(kLanes<T>, queries.last - first);
      store_first(xsimd::select(is_empty, zero, Vec<T>::load_unaligned(top_ + s)), top + first, n);
      store_first(xsimd::select(is_empty, zero, Vec<T>(T{1}) / total), inverse_sum + first, n);
    }
    transpose<false>(sums_.data(), tile_.stride(), p_.value_features, queries.count(), T{1},
                     output + queries.first * p_.output.row, p_.output.row);
  }

  const AttentionProblem& p_;
  ScoreTile<T> tile_;
  KeySums<T> sums_;  // [D_v + 1][stride]: of the values, and of the weights
  T* weights_;       // of a block, [keys][columns]: scores, then weights
  T* top_;
};

template <class T>
void run_forward(const AttentionProblem& p, AttentionValues& values) {
  const T *const q = std::as_const(values.q).data<T>(),
                 *const k = std::as_const(values.k).data<T>(),
                 *const v = std::as_const(values.v).data<T>();
  T *const output = values.output.data<T>(), *const top = values.top.data<T>(),
           *const inverse_sum = values.inverse_sum.data<T>();
  const std::int64_t tiles = p.tiles.per_head();
  const std::int64_t pairs = p.pairs_of_head() / std::max<std::int64_t>(1, tiles),
                     work = p.features + p.value_features + 16;
  const auto run_tiles = [&](std::int64_t i, std::int64_t end) {
    Workspace<T> memory(ForwardTile<T>::workspace(p));
    ForwardTile<T> tile(p, memory);
    for (; i < end; ++i) {
      const std::int64_t head = i / tiles, b = head / p.heads, h = head % p.heads;
      const std::int64_t key_head = p.key_head(h), row = head * p.queries;
      tile.run(b, h, i % tiles, q + p.q.at(b, h), k + p.k.at(b, key_head), v + p.v.at(b, key_head),
               output + p.output.at(b, h), top + row, inverse_sum + row);
    }
  };
  parallel_for(p.batch * p.heads * tiles, least_of_attention(pairs, work), run_tiles);
}

}  // namespace

void fused_attention(const AttentionProblem& p, const Shape& output, AttentionValues& values) {
  make_outputs(p, output, values);
  const auto on_cpu = [&] {
    dispatch_dtype(FloatingTypes{}, p.dtype, "scaled_dot_product_attention",
                   [&]<class T>(T) { run_forward<T>(p, values); });
  };
  dispatch_device(values.q.device(), kFusedAttentionCuda, on_cpu, p, std::as_const(values.q),
                  std::as_const(values.k), std::as_const(values.v), values.output, values.top,
                  values.inverse_sum);
}

}  // namespace maskgrad::ops
