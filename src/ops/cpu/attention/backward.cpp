#include <algorithm>
#include <span>

#include <maskgrad/ops/cpu/attention/careful_product.hpp>
#include <maskgrad/ops/cpu/attention/key_sums.hpp>
#include <maskgrad/ops/cpu/attention/query_sums.hpp>
#include <maskgrad/ops/cpu/attention/score_tile.hpp>
#include <maskgrad/ops/cpu/rows/row_kernels.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>

namespace maskgrad::ops {
namespace {

constexpr std::int64_t kTilesOfGroup = AttentionTiles::kTilesOfGroup;

// The gradients of a head of keys and values: sums over the queries of a group of heads.
template <class T>
struct KeyGradients {
  QuerySums<T> dk, dv;

  explicit KeyGradients(const AttentionProblem& p)
      : dk(p.keys, p.features, has_groups(p)), dv(p.keys, p.value_features, has_groups(p)) {}

  static std::int64_t groups_of_tiles(const AttentionProblem& p) {
    return (p.tiles.per_head() + kTilesOfGroup - 1) / kTilesOfGroup;
  }
  static bool has_groups(const AttentionProblem& p) {
    return p.heads / p.key_heads * groups_of_tiles(p) > 1;
  }
  void end_group(std::int64_t index) {
    dk.end_group(index);
    dv.end_group(index);
  }
  void finish() {
    dk.finish();
    dv.finish();
  }
};

// Where one head's inputs and gradients stand.
template <class T>
struct HeadMemory {
  std::int64_t h;
  const T *q, *k, *v, *output, *top, *inverse_sum, *grad_output;
  T* dq = nullptr;
  KeyGradients<T>* keys = nullptr;
  CompensatedSums<T> dbias = {};  // of the head, or none
};

// One tile of queries: with weights p = exp(score - top) inverse_sum, dropped weights p',
//   dv_t += sum_s p'_st g_s        dp_st = drop_st (g_s . v_t)
//   ds_st = p_st (dp_st - g_s . output_s)
//   dq_s  = sum_t factor ds_st k_t    dk_t += sum_s factor ds_st q_s
// `factor` being the scale of the scores. It is multiplied into g where that is transposed, and so
// into all ds; only a bias, whose gradient they are, divides by it. So what q, k and v get does not
// depend on whether a bias takes a gradient too. (A scale of 0 comes last instead.)
template <class T>
class BackwardTile {
 public:
  static std::int64_t workspace(const AttentionProblem& p) {
    const std::int64_t columns = ScoreTile<T>::max_columns(p);
    return ScoreTile<T>::workspace(p) +
           ScoreTile<T>::max_keys(p) * (2 * columns + p.features + p.value_features) +
           columns * (p.value_features + p.features + 5);
  }

  BackwardTile(const AttentionProblem& p, Workspace<T>& memory)
      : p_(p),
        factor_(divisor_of(static_cast<T>(p.scale))),
        tile_(p, memory),
        dq_(p.features * ScoreTile<T>::max_columns(p), memory) {
    const std::int64_t columns = ScoreTile<T>::max_columns(p);
    weights_ = memory.take(ScoreTile<T>::max_keys(p) * columns);
    dscores_ = memory.take(ScoreTile<T>::max_keys(p) * columns);
    grad_ = memory.take(p.value_features * columns);
    dk_of_chunk_ = memory.take(ScoreTile<T>::max_keys(p) * p.features);
    dv_of_chunk_ = memory.take(ScoreTile<T>::max_keys(p) * p.value_features);
    top_ = memory.take(columns);
    inverse_sum_ = memory.take(columns);
    delta_ = memory.take(columns);
    dbias_of_query_ = {memory.take(columns), memory.take(columns)};
  }

  void run(std::int64_t b, std::int64_t h, std::int64_t tile, const HeadMemory<T>& head) {
    const std::span<const PairBlock> blocks = p_.tiles.blocks(b, h, tile);
    const QueryTile queries = queries_of(b, h, blocks);
    const std::int64_t first = queries.first, count = queries.count();
    tile_.start(queries, head.q);
    grad_rows_ = head.grad_output + first * p_.output.row;
    query_rows_ = head.q + first * p_.q.row;
    transpose<true>(grad_rows_, p_.output.row, count, p_.value_features, factor_, grad_,
                    tile_.stride());
    read_rows(head.output + first * p_.output.row, head.top + first, head.inverse_sum + first,
              count);
    dq_.start(p_.features * tile_.stride());
    std::fill_n(dbias_of_query_.sum, tile_.stride(), T{});
    std::fill_n(dbias_of_query_.error, tile_.stride(), T{});
    rows_are_finite_ = all_finite_rows(grad_rows_, count, p_.value_features, p_.output.row) &&
                       all_finite_rows(query_rows_, count, p_.features, p_.q.row);
    for (ChunkWalk walk(blocks, p_.tiles.first_key(b)); walk.next();) {
      dq_.start_group(walk.group());
      add(walk.parts(), head);
    }
    dq_.finish();
    transpose<false>(dq_.data(), tile_.stride(), p_.features, count, T{1},
                     head.dq + first * p_.q.row, p_.q.row);
    if (head.dbias) {
      for (std::int64_t s = 0; s < count; ++s) head.dbias.add(0, dbias_of_query_.sum[s]);
    }
    p_.for_others(tile, queries, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t s = begin; s < end; ++s) {
        std::fill_n(head.dq + s * p_.q.row, p_.features, T{});
      }
    });
  }

 private:
  static T divisor_of(T scale) { return scale == 0 ? T{1} : scale; }

  // delta_s = factor g_s . output_s, which is sum_t p_st dp_st
  void read_rows(const T* output, const T* top, const T* inverse_sum, std::int64_t count) {
    for (std::int64_t s = 0; s < tile_.stride(); s += kLanes<T>) {
      const std::int64_t n = std::min(kLanes<T>, count - s);
      load_first(top + s, n).store_unaligned(top_ + s);
      load_first(inverse_sum + s, n).store_unaligned(inverse_sum_ + s);
      Partials<T> products;
      for (std::int64_t l = 0; l < kLanes<T>; ++l) {
        products[static_cast<std::size_t>(l)] = l < n ? product_of_row(output, s + l) : Vec<T>(T{});
      }
      (Vec<T>(factor_) * sum_lanes<T>(products)).store_unaligned(delta_ + s);
    }
  }

  // A vector whose lanes add up to g_s . output_s.
  Vec<T> product_of_row(const T* output, std::int64_t s) const {
    const T *grad = grad_rows_ + s * p_.output.row, *out = output + s * p_.output.row;
    if (p_.value_features > kTermsOfBlock) {
      const T dot = row_dot(grad, out, p_.value_features);
      return load_first(&dot, 1);
    }
    Vec<T> sum(T{});
    for (std::int64_t d = 0; d < p_.value_features; d += kLanes<T>) {
      const std::int64_t n = std::min(kLanes<T>, p_.value_features - d);
      sum = multiply_add(load_first(grad + d, n), load_first(out + d, n), sum);
    }
    return sum;
  }

  // The parts of a chunk. What they add to a key is one chain over all queries of the tile,
  // wherever parts end.
  void add(std::span<const PairBlock> parts, const HeadMemory<T>& head) {
    const std::int64_t width = p_.features, value_width = p_.value_features;
    if (parts.size() == 1) {
      const std::int64_t begin = parts[0].begin;
      return add(parts[0], head, add_to(head.keys->dk.row(begin), head.keys->dk.stride()),
                 add_to(head.keys->dv.row(begin), head.keys->dv.stride()));
    }
    const auto is_before = [](const PairBlock& a, const PairBlock& b) { return a.begin < b.begin; };
    const auto ends_before = [](const PairBlock& a, const PairBlock& b) { return a.end < b.end; };
    const std::int64_t first = std::ranges::min_element(parts, is_before)->begin,
                       keys = std::ranges::max_element(parts, ends_before)->end - first;
    std::fill_n(dk_of_chunk_, keys * width, T{});
    std::fill_n(dv_of_chunk_, keys * value_width, T{});
    for (const PairBlock& part : parts) {
      const std::int64_t at = part.begin - first;
      add(part, head, {dk_of_chunk_ + at * width, width, Use::kContinue},
          {dv_of_chunk_ + at * value_width, value_width, Use::kContinue});
    }
    head.keys->dk.add_rows(dk_of_chunk_, first, keys);
    head.keys->dv.add_rows(dv_of_chunk_, first, keys);
  }

  void add(const PairBlock& block, const HeadMemory<T>& head, const Sums<T>& dk,
           const Sums<T>& dv) {
    const T* keys = head.k + block.begin * p_.k.row;
    tile_.scores(block, head.k, weights_);
    const std::int64_t columns = tile_.columns();
    tile_.multiply_keys(block, head.v, p_.v.row, p_.value_features, grad_, dscores_);
    for (std::int64_t s = 0; s < columns; s += kLanes<T>) differentiate(block, s);
    const bool simple = block.full || (rows_are_finite_ &&
                                       all_finite_rows(keys, block.keys(), p_.features, p_.k.row));
    sum_over_queries(block, simple, weights_, grad_rows_, p_.output.row, p_.value_features, dv);
    if (head.dbias) add_to_bias(block, head.dbias);
    if (p_.softcap || factor_ != static_cast<T>(p_.scale)) finish_dscores(block);
    sum_over_queries(block, simple, dscores_, query_rows_, p_.q.row, p_.features, dk);
    const Strided<T> transposed = {keys, 1, p_.k.row};
    const Sums<T> dq = add_to(dq_.data() + tile_.offset(), tile_.stride());
    if (simple) {
      block_product<false>(p_.features, columns, block.keys(), transposed, dscores_, columns, dq);
    } else {
      product_of_kept_columns(p_.features, columns, block.keys(), transposed, dscores_,
                              tile_.keep().data(), dq);
    }
  }

  // Scores -> dropped weights, dp -> ds, for a vector of queries: the block's columns from s on.
  void differentiate(const PairBlock& block, std::int64_t s) {
    const std::int64_t columns = tile_.columns(), end = block.keys() * columns;
    const std::int64_t of_tile = tile_.offset() + s;
    const Vec<T> zero(T{}), top = Vec<T>::load_unaligned(top_ + of_tile),
                            inverse_sum = Vec<T>::load_unaligned(inverse_sum_ + of_tile),
                            delta = Vec<T>::load_unaligned(delta_ + of_tile);
    T *const weights = weights_, *const dscores = dscores_;
    const bool drops = p_.dropout > 0, is_full = block.full;
    for (std::int64_t at = s; at < end; at += columns) {
      Vec<T> weight = math::fast_exp(Vec<T>::load_unaligned(weights + at) - top) * inverse_sum;
      const Vec<T> dweight = Vec<T>::load_unaligned(dscores + at);
      Vec<T> dscore = weight * (dweight - delta);
      if (drops) {
        dscore = weight * multiply_add(dweight, tile_.drop(at), math::negative(delta));
        weight *= tile_.drop(at);
      }
      if (!is_full) {
        const auto kept = tile_.keep()[at];
        weight = xsimd::select(kept, weight, zero);
        dscore = xsimd::select(kept, dscore, zero);
      }
      weight.store_unaligned(weights + at);
      dscore.store_unaligned(dscores + at);
    }
  }

  // out[t], as `out` says, from the sum over s of table[t][s] rows[s]; rows: of the tile's queries,
  // `row` elements apart.
  void sum_over_queries(const PairBlock& block, bool simple, const T* table, const T* rows,
                        std::int64_t row, std::int64_t features, const Sums<T>& out) const {
    const std::int64_t columns = tile_.columns();
    const T* const own = rows + tile_.offset() * row;
    if (simple) {
      block_product<true>(block.keys(), features, block.queries(), Strided<T>{table, columns, 1},
                          own, row, out);
    } else {
      product_of_kept_rows(block.keys(), features, block.queries(), table, tile_.keep().data(),
                           columns, own, row, out);
    }
  }

  // One that all pairs share is summed query by query first: the order must not depend on where
  // blocks end.
  void add_to_bias(const PairBlock& block, const CompensatedSums<T>& dbias) const {
    auto [of_sample, of_head, of_query, of_key] = p_.bias_stride;
    CompensatedSums<T> to = dbias.from(block.first * of_query + block.begin * of_key);
    if (of_query == 0 && of_key == 0) {
      to = dbias_of_query_.from(tile_.offset());
      of_query = 1;
    }
    for (std::int64_t s = 0; s < block.queries(); ++s) {
      for (std::int64_t t = 0; t < block.keys(); ++t) {
        to.add(s * of_query + t * of_key, dscores_[t * tile_.columns() + s] / factor_);
      }
    }
  }

  // Times the slope of the cap, and times a scale of 0, which is not in them yet.
  void finish_dscores(const PairBlock& block) {
    const Vec<T> factor(static_cast<T>(p_.scale) / factor_), zero(T{});
    for (std::int64_t at = 0; at < block.keys() * tile_.columns(); at += kLanes<T>) {
      Vec<T> dscore = factor * Vec<T>::load_unaligned(dscores_ + at);
      if (p_.softcap) dscore *= tile_.cap_slope(at);
      if (!block.full) dscore = xsimd::select(tile_.keep()[at], dscore, zero);
      dscore.store_unaligned(dscores_ + at);
    }
  }

  const AttentionProblem& p_;
  const T factor_;
  ScoreTile<T> tile_;
  const T *grad_rows_ = nullptr, *query_rows_ = nullptr;
  bool rows_are_finite_ = true;
  KeySums<T> dq_;                  // [D][stride]
  T *weights_, *dscores_;          // of a block, [keys][columns]
  T *dk_of_chunk_, *dv_of_chunk_;  // [keys][D], [keys][D_v]
  T* grad_;                        // [D_v][stride]
  T *top_, *inverse_sum_, *delta_;
  CompensatedSums<T> dbias_of_query_;
};

template <class T>
class HeadLoop {
 public:
  HeadLoop(const AttentionProblem& p, const AttentionValues& in, const Tensor& grad_output,
           AttentionGradients& out)
      : p_(p), in_(in), grad_output_(grad_output), out_(out) {
    const bool shared =
        out.bias.defined() && out.bias.numel() < p.batch * p.heads * p.queries * p.keys;
    if (shared) bias_errors_ = Tensor::zeros(out.bias.shape(), out.bias.dtype());
  }

  // Heads that add to the same gradients follow each other in one task: those of a group to keys
  // and values, those that share a bias to it.
  void run() {
    if (p_.batch == 0) return;
    const auto& stride = p_.bias_stride;
    const bool bias = out_.bias.defined();
    const std::int64_t batches = !bias || stride[0] ? p_.batch : 1,
                       heads = !bias || stride[1] ? p_.key_heads : 1;
    const std::int64_t each_b = p_.batch / batches, each_h = p_.key_heads / heads;
    const std::int64_t group = p_.heads / p_.key_heads;
    const std::int64_t pairs = each_b * each_h * group * p_.pairs_of_head();
    const std::int64_t least =
        least_of_attention(pairs, 3 * p_.features + 2 * p_.value_features + 16);
    parallel_for(batches * heads, least, [&](std::int64_t i, std::int64_t end) {
      Workspace<T> memory(BackwardTile<T>::workspace(p_));
      BackwardTile<T> tile(p_, memory);
      KeyGradients<T> keys(p_);
      for (; i < end; ++i) {
        for (std::int64_t b = i / heads * each_b; b < (i / heads + 1) * each_b; ++b) {
          for (std::int64_t h = i % heads * each_h; h < (i % heads + 1) * each_h; ++h) {
            run_group(tile, keys, b, h);
          }
        }
      }
    });
  }

 private:
  void run_group(BackwardTile<T>& tile, KeyGradients<T>& keys, std::int64_t b,
                 std::int64_t key_head) {
    const std::int64_t group = p_.heads / p_.key_heads, tiles = p_.tiles.per_head(),
                       tile_groups = KeyGradients<T>::groups_of_tiles(p_);
    const std::int64_t first_key = p_.tiles.first_key(b);
    keys.dk.start(out_.k.data<T>() + p_.k.at(b, key_head), p_.k.row, first_key);
    keys.dv.start(out_.v.data<T>() + p_.v.at(b, key_head), p_.v.row, first_key);
    for (std::int64_t i = 0; i < group; ++i) {
      HeadMemory<T> head = memory_of(b, key_head * group + i);
      head.keys = &keys;
      for (std::int64_t g = 0; g < tile_groups; ++g) {
        const std::int64_t end = std::min(tiles, (g + 1) * kTilesOfGroup);
        for (std::int64_t t = g * kTilesOfGroup; t < end; ++t) tile.run(b, head.h, t, head);
        keys.end_group(i * power_of_two(tile_groups) + g);
      }
    }
    keys.finish();
  }

  HeadMemory<T> memory_of(std::int64_t b, std::int64_t h) {
    const std::int64_t key_head = p_.key_head(h), row = (b * p_.heads + h) * p_.queries;
    HeadMemory<T> head = {.h = h,
                          .q = in_.q.data<T>() + p_.q.at(b, h),
                          .k = in_.k.data<T>() + p_.k.at(b, key_head),
                          .v = in_.v.data<T>() + p_.v.at(b, key_head),
                          .output = in_.output.data<T>() + p_.output.at(b, h),
                          .top = in_.top.data<T>() + row,
                          .inverse_sum = in_.inverse_sum.data<T>() + row,
                          .grad_output = grad_output_.data<T>() + p_.output.at(b, h),
                          .dq = out_.q.data<T>() + p_.q.at(b, h)};
    if (out_.bias.defined()) {
      const CompensatedSums<T> dbias = {out_.bias.data<T>(),
                                        bias_errors_.defined() ? bias_errors_.data<T>() : nullptr};
      head.dbias = dbias.from(b * p_.bias_stride[0] + h * p_.bias_stride[1]);
    }
    return head;
  }

  const AttentionProblem& p_;
  const AttentionValues& in_;
  const Tensor& grad_output_;
  AttentionGradients& out_;
  Tensor bias_errors_;  // undefined when no two pairs share a place of the bias
};

}  // namespace

void fused_attention_gradients(const AttentionProblem& p, const AttentionValues& values,
                               const Tensor& grad_output, AttentionGradients& gradients) {
  const auto on_cpu = [&] {
    dispatch_dtype(FloatingTypes{}, p.dtype, "scaled_dot_product_attention",
                   [&]<class T>(T) { HeadLoop<T>(p, values, grad_output, gradients).run(); });
  };
  const auto lanes = p.dtype == DType::kFloat32 ? kLanes<float> : kLanes<double>;
  dispatch_device(grad_output.device(), kFusedAttentionGradientsCuda, on_cpu, p, values,
                  static_cast<int>(lanes), grad_output, gradients);
}

}  // namespace maskgrad::ops
