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
//   dq_s  = scale sum_t ds_st k_t  dk_t += sum_s ds_st q_s, to be scaled when all is added
template <class T>
class BackwardTile {
 public:
  static std::int64_t workspace(const AttentionProblem& p) {
    const std::int64_t columns = ScoreTile<T>::max_columns(p);
    return ScoreTile<T>::workspace(p) +
           columns * (2 * ScoreTile<T>::max_keys(p) + p.value_features + p.features + 3);
  }

  BackwardTile(const AttentionProblem& p, Workspace<T>& memory) : p_(p), tile_(p, memory) {
    const std::int64_t columns = ScoreTile<T>::max_columns(p);
    weights_ = memory.take(ScoreTile<T>::max_keys(p) * columns);
    dscores_ = memory.take(ScoreTile<T>::max_keys(p) * columns);
    grad_ = memory.take(p.value_features * columns);
    dq_ = memory.take(p.features * columns);
    top_ = memory.take(columns);
    scale_ = memory.take(columns);
    delta_ = memory.take(columns);
  }

  void run(std::int64_t b, std::int64_t h, std::int64_t tile, const HeadMemory<T>& head) {
    tile_.start(b, h, tile, head.q);
    const std::int64_t first = tile_.first(), count = tile_.count(), columns = tile_.columns();
    grad_rows_ = head.grad_output + first * p_.value_features;
    query_rows_ = head.q + first * p_.features;
    transpose<true>(grad_rows_, p_.value_features, count, p_.value_features, T{1}, grad_, columns);
    read_rows(head.output + first * p_.value_features, head.top + first, head.scale + first);
    std::fill_n(dq_, p_.features * columns, T{});
    rows_are_finite_ = all_finite(grad_rows_, count * p_.value_features) &&
                       all_finite(query_rows_, count * p_.features);
    for (const KeyRange& range : p_.tiles.ranges(b, h, tile)) {
      for_each_chunk(range, [&](const KeyChunk& chunk) { add(chunk, head); });
    }
    transpose<false>(dq_, columns, p_.features, count, static_cast<T>(p_.scale),
                     head.dq + first * p_.features, p_.features);
  }

 private:
  // delta_s = g_s . output_s, which is sum_t p_st dp_st
  void read_rows(const T* output, const T* top, const T* scale) {
    for (std::int64_t s = 0; s < tile_.columns(); s += kLanes<T>) {
      const std::int64_t count = std::min(kLanes<T>, tile_.count() - s);
      load_first(top + s, count).store_unaligned(top_ + s);
      load_first(scale + s, count).store_unaligned(scale_ + s);
      Partials<T> products;
      for (std::int64_t l = 0; l < kLanes<T>; ++l) {
        products[static_cast<std::size_t>(l)] =
            l < count ? product_of_row(output, s + l) : Vec<T>(T{});
      }
      sum_lanes<T>(products).store_unaligned(delta_ + s);
    }
  }

  // g_s times output_s, element by element, the vectors of a row added up.
  Vec<T> product_of_row(const T* output, std::int64_t s) const {
    Vec<T> sum(T{});
    for (std::int64_t d = 0; d < p_.value_features; d += kLanes<T>) {
      const std::int64_t n = std::min(kLanes<T>, p_.value_features - d);
      const std::int64_t at = s * p_.value_features + d;
      sum = xsimd::fma(load_first(grad_rows_ + at, n), load_first(output + at, n), sum);
    }
    return sum;
  }

  void add(const KeyChunk& chunk, const HeadMemory<T>& head) {
    const std::int64_t columns = tile_.columns();
    const T *keys = head.k + chunk.begin * p_.features,
            *values = head.v + chunk.begin * p_.value_features;
    tile_.scores(chunk, head.k, weights_);
    block_product<false>(chunk.size(), columns, p_.value_features,
                         Strided<T>{values, p_.value_features, 1}, grad_, columns,
                         StoreTo<T>{dscores_, columns});
    for (std::int64_t at = 0; at < chunk.size() * columns; at += columns) {
      for (std::int64_t s = 0; s < columns; s += kLanes<T>) differentiate(chunk, at, s);
    }
    T *dk = head.dk + chunk.begin * p_.features, *dv = head.dv + chunk.begin * p_.value_features;
    const bool simple =
        chunk.full || (rows_are_finite_ && all_finite(keys, chunk.size() * p_.features));
    add_to_keys(chunk, simple, weights_, grad_rows_, p_.value_features, dv);
    if (head.dbias) add_to_bias(chunk, head.dbias);
    if (p_.softcap) add_slope(chunk);
    add_to_keys(chunk, simple, dscores_, query_rows_, p_.features, dk);
    const Strided<T> transposed = {keys, 1, p_.features};
    if (simple) {
      block_product<false>(p_.features, columns, chunk.size(), transposed, dscores_, columns,
                           AddTo<T>{dq_, columns});
    } else {
      add_product_of_kept_columns(p_.features, columns, chunk.size(), transposed, dscores_,
                                  tile_.keep().data(), dq_);
    }
  }

  // Scores -> dropped weights, dp -> ds, for one vector of queries and one key.
  void differentiate(const KeyChunk& chunk, std::int64_t row, std::int64_t s) {
    const std::int64_t at = row + s;
    const Vec<T> zero(T{});
    Vec<T> weight =
        xsimd::exp(Vec<T>::load_unaligned(weights_ + at) - Vec<T>::load_unaligned(top_ + s)) *
        Vec<T>::load_unaligned(scale_ + s);
    Vec<T> dweight = Vec<T>::load_unaligned(dscores_ + at);
    if (p_.dropout > 0) dweight *= tile_.drop(at);
    Vec<T> dscore = weight * (dweight - Vec<T>::load_unaligned(delta_ + s));
    if (p_.dropout > 0) weight *= tile_.drop(at);
    if (!chunk.full) {
      const auto kept = tile_.keep()[at];
      weight = xsimd::select(kept, weight, zero);
      dscore = xsimd::select(kept, dscore, zero);
    }
    weight.store_unaligned(weights_ + at);
    dscore.store_unaligned(dscores_ + at);
  }

  // out[t] += sum_s table[t][s] rows[s]
  void add_to_keys(const KeyChunk& chunk, bool simple, const T* table, const T* rows,
                   std::int64_t features, T* out) const {
    const std::int64_t columns = tile_.columns();
    if (simple) {
      block_product<true>(chunk.size(), features, tile_.count(), Strided<T>{table, columns, 1},
                          rows, features, AddTo<T>{out, features});
    } else {
      add_product_of_kept_rows(chunk.size(), features, tile_.count(), table, tile_.keep().data(),
                               columns, rows, out);
    }
  }

  void add_to_bias(const KeyChunk& chunk, T* dbias) const {
    const auto stride = AttentionProblem::strides_of(p_.bias.shape());
    for (std::int64_t s = 0; s < tile_.count(); ++s) {
      T* of_query = dbias + (tile_.first() + s) * stride[2] + chunk.begin * stride[3];
      for (std::int64_t t = 0; t < chunk.size(); ++t) {
        of_query[t * stride[3]] += dscores_[t * tile_.columns() + s];
      }
    }
  }

  void add_slope(const KeyChunk& chunk) {
    for (std::int64_t at = 0; at < chunk.size() * tile_.columns(); at += kLanes<T>) {
      Vec<T> dscore = Vec<T>::load_unaligned(dscores_ + at) * tile_.cap_slope(at);
      if (!chunk.full) dscore = xsimd::select(tile_.keep()[at], dscore, Vec<T>(T{}));
      dscore.store_unaligned(dscores_ + at);
    }
  }

  const AttentionProblem& p_;
  ScoreTile<T> tile_;
  const T *grad_rows_ = nullptr, *query_rows_ = nullptr;
  bool rows_are_finite_ = true;
  T *weights_, *dscores_;  // [keys][columns]
  T *grad_, *dq_;          // [D_v][columns], [D][columns]
  T *top_, *scale_, *delta_;
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
    const bool bias = out_.bias.defined();
    const auto stride = bias ? AttentionProblem::strides_of(p_.bias.shape())
                             : std::array<std::int64_t, 4>{1, 1, 1, 1};
    const std::int64_t batches = stride[0] ? p_.batch : 1, heads = stride[1] ? p_.key_heads : 1;
    const std::int64_t each_b = p_.batch / batches, each_h = p_.key_heads / heads;
    const std::int64_t group = p_.heads / p_.key_heads;
    const std::int64_t work = each_b * each_h * group * p_.queries * p_.keys *
                              (3 * p_.features + 2 * p_.value_features + 16);
    parallel_for(batches * heads, least_of_attention(work), [&](std::int64_t i, std::int64_t end) {
      Workspace<T> memory(BackwardTile<T>::workspace(p_));
      BackwardTile<T> tile(p_, memory);
      for (; i < end; ++i) {
        for (std::int64_t b = i / heads * each_b; b < (i / heads + 1) * each_b; ++b) {
          for (std::int64_t h = i % heads * each_h; h < (i % heads + 1) * each_h; ++h) {
            run_group(tile, b, h, group, stride);
          }
        }
      }
    });
  }

 private:
  void run_group(BackwardTile<T>& tile, std::int64_t b, std::int64_t key_head, std::int64_t group,
                 const std::array<std::int64_t, 4>& bias_stride) {
    const std::int64_t keys = (b * p_.key_heads + key_head) * p_.keys;
    T* dk = out_.k.data<T>() + keys * p_.features;
    T* dv = out_.v.data<T>() + keys * p_.value_features;
    std::fill_n(dk, p_.keys * p_.features, T{});
    std::fill_n(dv, p_.keys * p_.value_features, T{});
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
          out_.bias.defined() ? out_.bias.data<T>() + b * bias_stride[0] + h * bias_stride[1]
                              : nullptr};
      for (std::int64_t t = 0; t < p_.tiles.per_head(); ++t) tile.run(b, h, t, head);
    }
    const T scale = static_cast<T>(p_.scale);
    // + 0: a negative scale would make -0 of what nobody sent.
    for (std::int64_t i = 0; i < p_.keys * p_.features; ++i) dk[i] = scale * dk[i] + T{};
  }

  const AttentionProblem& p_;
  const GradientInputs& in_;
  AttentionGradients& out_;
};

}  // namespace

AttentionGradients fused_attention_gradients(const AttentionProblem& p, const Tensor& q,
                                             const Tensor& k, const Tensor& v,
                                             const AttentionForward& forward,
                                             const Tensor& grad_output, bool bias_gradient) {
  const auto like = [](const Tensor& x) { return Tensor::empty(x.shape(), x.dtype(), x.device()); };
  AttentionGradients result = {like(q), like(k), like(v), {}};
  if (bias_gradient) result.bias = Tensor::zeros(p.bias.shape(), p.dtype, q.device());
  dispatch_device(q.device(), "scaled_dot_product_attention", [&] {
    dispatch_dtype(FloatingTypes{}, p.dtype, "scaled_dot_product_attention", [&]<class T>(T) {
      const GradientInputs inputs = {q, k, v, forward, grad_output};
      HeadLoop<T>(p, inputs, result).run();
    });
  });
  return result;
}

}  // namespace maskgrad::ops
