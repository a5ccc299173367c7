#include <maskgrad/ops/attention/careful_product.hpp>
#include <maskgrad/ops/attention/score_tile.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>

namespace maskgrad::ops {
namespace {

// Where one head's inputs and gradients stand.
template <class T>
struct HeadMemory {
  const T *q, *k, *v, *output, *top, *scale, *grad_output;
  T *dq, *dk, *dv;
  T* dbias;  // of the head, or nullptr
};

// One tile of queries: with weights p = exp(score - top) scale, dropped weights p',
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
           columns * (2 * ScoreTile<T>::max_keys(p) + p.value_features + p.features + 4);
  }

  BackwardTile(const AttentionProblem& p, Workspace<T>& memory)
      : p_(p), factor_(divisor_of(static_cast<T>(p.scale))), tile_(p, memory) {
    const std::int64_t columns = ScoreTile<T>::max_columns(p);
    weights_ = memory.take(ScoreTile<T>::max_keys(p) * columns);
    dscores_ = memory.take(ScoreTile<T>::max_keys(p) * columns);
    grad_ = memory.take(p.value_features * columns);
    dq_ = memory.take(p.features * columns);
    top_ = memory.take(columns);
    scale_ = memory.take(columns);
    delta_ = memory.take(columns);
    dbias_of_query_ = memory.take(columns);
  }

  void run(std::int64_t b, std::int64_t h, std::int64_t tile, const HeadMemory<T>& head) {
    const std::span<const PairBlock> blocks = p_.tiles.blocks(b, h, tile);
    const QueryTile queries = queries_of(b, h, blocks);
    const std::int64_t first = queries.first, count = queries.count();
    tile_.start(queries, head.q);
    grad_rows_ = head.grad_output + first * p_.value_features;
    query_rows_ = head.q + first * p_.features;
    transpose<true>(grad_rows_, p_.value_features, count, p_.value_features, factor_, grad_,
                    tile_.stride());
    read_rows(head.output + first * p_.value_features, head.top + first, head.scale + first, count);
    std::fill_n(dq_, p_.features * tile_.stride(), T{});
    std::fill_n(dbias_of_query_, tile_.stride(), T{});
    rows_are_finite_ = all_finite(grad_rows_, count * p_.value_features) &&
                       all_finite(query_rows_, count * p_.features);
    for (const PairBlock& block : blocks) {
      for_each_chunk(block, [&](const PairBlock& part) { add(part, head); });
    }
    transpose<false>(dq_, tile_.stride(), p_.features, count, T{1}, head.dq + first * p_.features,
                     p_.features);
    for (std::int64_t s = 0; head.dbias && s < count; ++s) *head.dbias += dbias_of_query_[s];
    p_.for_others(tile, queries, [&](std::int64_t begin, std::int64_t end) {
      std::fill(head.dq + begin * p_.features, head.dq + end * p_.features, T{});
    });
  }

 private:
  static T divisor_of(T scale) { return scale == 0 ? T{1} : scale; }

  // delta_s = factor g_s . output_s, which is sum_t p_st dp_st
  void read_rows(const T* output, const T* top, const T* scale, std::int64_t count) {
    for (std::int64_t s = 0; s < tile_.stride(); s += kLanes<T>) {
      const std::int64_t n = std::min(kLanes<T>, count - s);
      load_first(top + s, n).store_unaligned(top_ + s);
      load_first(scale + s, n).store_unaligned(scale_ + s);
      Partials<T> products;
      for (std::int64_t l = 0; l < kLanes<T>; ++l) {
        products[static_cast<std::size_t>(l)] = l < n ? product_of_row(output, s + l) : Vec<T>(T{});
      }
      (Vec<T>(factor_) * sum_lanes<T>(products)).store_unaligned(delta_ + s);
    }
  }

  // g_s times output_s, element by element, the vectors of a row added up.
  Vec<T> product_of_row(const T* output, std::int64_t s) const {
    Vec<T> sum(T{});
    for (std::int64_t d = 0; d < p_.value_features; d += kLanes<T>) {
      const std::int64_t n = std::min(kLanes<T>, p_.value_features - d);
      const std::int64_t at = s * p_.value_features + d;
      sum = multiply_add(load_first(grad_rows_ + at, n), load_first(output + at, n), sum);
    }
    return sum;
  }

  void add(const PairBlock& block, const HeadMemory<T>& head) {
    const T *keys = head.k + block.begin * p_.features,
            *values = head.v + block.begin * p_.value_features;
    tile_.scores(block, head.k, weights_);
    const std::int64_t columns = tile_.columns(), offset = tile_.offset();
    block_product<false>(block.keys(), columns, p_.value_features,
                         Strided<T>{values, p_.value_features, 1}, grad_ + offset, tile_.stride(),
                         StoreTo<T>{dscores_, columns});
    for (std::int64_t at = 0; at < block.keys() * columns; at += columns) {
      for (std::int64_t s = 0; s < columns; s += kLanes<T>) differentiate(block, at, s);
    }
    T *dk = head.dk + block.begin * p_.features, *dv = head.dv + block.begin * p_.value_features;
    const bool simple =
        block.full || (rows_are_finite_ && all_finite(keys, block.keys() * p_.features));
    add_to_keys(block, simple, weights_, grad_rows_, p_.value_features, dv);
    if (head.dbias) add_to_bias(block, head.dbias);
    if (p_.softcap || factor_ != static_cast<T>(p_.scale)) finish_dscores(block);
    add_to_keys(block, simple, dscores_, query_rows_, p_.features, dk);
    const Strided<T> transposed = {keys, 1, p_.features};
    if (simple) {
      block_product<false>(p_.features, columns, block.keys(), transposed, dscores_, columns,
                           AddTo<T>{dq_ + offset, tile_.stride()});
    } else {
      add_product_of_kept_columns(p_.features, columns, block.keys(), transposed, dscores_,
                                  tile_.keep().data(), dq_ + offset, tile_.stride());
    }
  }

  // Scores -> dropped weights, dp -> ds, for one key, whose row of the tables starts at `row`, and
  // one vector of queries.
  void differentiate(const PairBlock& block, std::int64_t row, std::int64_t s) {
    const std::int64_t at = row + s, of_tile = tile_.offset() + s;
    const Vec<T> zero(T{});
    Vec<T> weight =
        xsimd::exp(Vec<T>::load_unaligned(weights_ + at) - Vec<T>::load_unaligned(top_ + of_tile)) *
        Vec<T>::load_unaligned(scale_ + of_tile);
    Vec<T> dweight = Vec<T>::load_unaligned(dscores_ + at);
    if (p_.dropout > 0) dweight *= tile_.drop(at);
    Vec<T> dscore = weight * (dweight - Vec<T>::load_unaligned(delta_ + of_tile));
    if (p_.dropout > 0) weight *= tile_.drop(at);
    if (!block.full) {
      const auto kept = tile_.keep()[at];
      weight = xsimd::select(kept, weight, zero);
      dscore = xsimd::select(kept, dscore, zero);
    }
    weight.store_unaligned(weights_ + at);
    dscore.store_unaligned(dscores_ + at);
  }

  // out[t] += sum_s table[t][s] rows[s]; rows: of the tile's queries.
  void add_to_keys(const PairBlock& block, bool simple, const T* table, const T* rows,
                   std::int64_t features, T* out) const {
    const std::int64_t columns = tile_.columns();
    const T* const own = rows + tile_.offset() * features;
    if (simple) {
      block_product<true>(block.keys(), features, block.queries(), Strided<T>{table, columns, 1},
                          own, features, AddTo<T>{out, features});
    } else {
      add_product_of_kept_rows(block.keys(), features, block.queries(), table, tile_.keep().data(),
                               columns, own, out);
    }
  }

  // One that all pairs share is summed query by query first: the order must not depend on where
  // blocks end.
  void add_to_bias(const PairBlock& block, T* dbias) const {
    auto [of_sample, of_head, of_query, of_key] = p_.bias_stride;
    T* to = dbias + block.first * of_query + block.begin * of_key;
    if (of_query == 0 && of_key == 0) {
      to = dbias_of_query_ + tile_.offset();
      of_query = 1;
    }
    for (std::int64_t s = 0; s < block.queries(); ++s) {
      for (std::int64_t t = 0; t < block.keys(); ++t) {
        to[s * of_query + t * of_key] += dscores_[t * tile_.columns() + s] / factor_;
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
  T *weights_, *dscores_;  // of a block, [keys][columns]
  T *grad_, *dq_;          // [D_v][stride], [D][stride]
  T *top_, *scale_, *delta_;
  T* dbias_of_query_;
};

struct GradientInputs {
  const Tensor &q, &k, &v;
  const AttentionForward& forward;
  const Tensor& grad_output;
};

template <class T>
class HeadLoop {
 public:
  HeadLoop(const AttentionProblem& p, const GradientInputs& in, AttentionGradients& out)
      : p_(p), in_(in), out_(out) {}

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
      for (; i < end; ++i) {
        for (std::int64_t b = i / heads * each_b; b < (i / heads + 1) * each_b; ++b) {
          for (std::int64_t h = i % heads * each_h; h < (i % heads + 1) * each_h; ++h) {
            run_group(tile, b, h, group);
          }
        }
      }
    });
  }

 private:
  void run_group(BackwardTile<T>& tile, std::int64_t b, std::int64_t key_head, std::int64_t group) {
    const std::int64_t keys = (b * p_.key_heads + key_head) * p_.keys;
    T* dk = out_.k.data<T>() + keys * p_.features;
    T* dv = out_.v.data<T>() + keys * p_.value_features;
    // Just before a tile adds to them, while they are in cache.
    auto zero_until = [&, zeroed = std::int64_t{0}](std::int64_t end) mutable {
      if (end <= zeroed) return;
      std::fill(dk + zeroed * p_.features, dk + end * p_.features, T{});
      std::fill(dv + zeroed * p_.value_features, dv + end * p_.value_features, T{});
      zeroed = end;
    };
    for (std::int64_t h = key_head * group; h < (key_head + 1) * group; ++h) {
      const std::int64_t rows = (b * p_.heads + h) * p_.queries;
      const HeadMemory<T> head = {
          in_.q.data<T>() + rows * p_.features,
          in_.k.data<T>() + keys * p_.features,
          in_.v.data<T>() + keys * p_.value_features,
          in_.forward.output.data<T>() + rows * p_.value_features,
          in_.forward.top.data<T>() + rows,
          in_.forward.scale.data<T>() + rows,
          in_.grad_output.data<T>() + rows * p_.value_features,
          out_.q.data<T>() + rows * p_.features,
          dk,
          dv,
          out_.bias.defined() ? out_.bias.data<T>() + b * p_.bias_stride[0] + h * p_.bias_stride[1]
                              : nullptr};
      for (std::int64_t t = 0; t < p_.tiles.per_head(); ++t) {
        for (const PairBlock& block : p_.tiles.blocks(b, h, t)) zero_until(block.end);
        tile.run(b, h, t, head);
      }
    }
    zero_until(p_.keys);
  }

  const AttentionProblem& p_;
  const GradientInputs& in_;
  AttentionGradients& out_;
};

}  // namespace

void fused_attention_gradients(const AttentionProblem& p, const Tensor& q, const Tensor& k,
                               const Tensor& v, const AttentionForward& forward,
                               const Tensor& grad_output, AttentionGradients& gradients) {
  dispatch_device(q.device(), "scaled_dot_product_attention", [&] {
    dispatch_dtype(FloatingTypes{}, p.dtype, "scaled_dot_product_attention", [&]<class T>(T) {
      const GradientInputs inputs = {q, k, v, forward, grad_output};
      HeadLoop<T>(p, inputs, gradients).run();
    });
  });
}

}  // namespace maskgrad::ops
