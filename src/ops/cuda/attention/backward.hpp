// What the kernels of attention's gradients have in common. For `.cu` files. Internal to attention.
//
// With weights p = exp(score - top) inverse_sum, and dropped ones p':
//   dv_t = sum over s of p'_st g_s        dp_st = factor drop_st (g_s . v_t)
//   ds_st = p_st (dp_st - factor g_s . output_s)
//   dq_s = sum over t of ds_st k_t        dk_t = sum over s of ds_st q_s
// `factor` is the scale of the scores, or 1 where that is 0, which then comes last. Every number
// has the bits of cpu/attention/backward.cpp.
#pragma once

#include <maskgrad/ops/cuda/attention/call.hpp>

namespace maskgrad::ops::attention {

template <class T>
struct Backward {
  Call<T> call;
  const T *q, *k, *v, *grad_output;
  const T *top, *inverse_sum, *delta;  // of each query; delta = factor g . output
  T factor, rest;                      // the scale is their product
  T *dq, *dk, *dv;
  T* dbias;            // null, or of a bias in which no two pairs share a place
  int groups_of_head;  // of tiles of queries, in the sums of keys
  BlockMemory<T> memory;

  /// Of a tile: queries, the gradients of their outputs, keys and values. h: of queries.
  struct TileRows {
    Rows<T> q, g, k, v;
  };
  __device__ TileRows rows(std::int64_t b, std::int64_t h, int query, int queries, int key,
                           int keys) const {
    const std::int64_t key_head = call.key_head(h);
    return {call.rows(q, call.q, b, h, query, queries),
            call.rows(grad_output, call.output, b, h, query, queries),
            call.rows(k, call.k, b, key_head, key, keys),
            call.rows(v, call.v, b, key_head, key, keys)};
  }
};

template <class T>
T factor_of(const AttentionProblem& p) {
  const T scale = static_cast<T>(p.scale);
  return scale == T{0} ? T{1} : scale;
}

/// What the forward pass left of some queries, and delta.
template <class T, int n>
struct QueryNumbers {
  T top[n], inverse_sum[n], delta[n];

  /// Of `count` queries from number `first` on, each by a thread of its own; 0 of the others.
  __device__ void load(const Backward<T>& f, std::int64_t first, int count) {
    const int query = static_cast<int>(threadIdx.x);
    if (query >= n) return;
    const bool exists = query < count;
    top[query] = exists ? f.top[first + query] : T{0};
    inverse_sum[query] = exists ? f.inverse_sum[first + query] : T{0};
    delta[query] = exists ? f.delta[first + query] : T{0};
  }
};

/// The dropped weight of a kept pair, and the gradient of its score, and of q . k times the scale.
template <class T>
struct PairGradients {
  T weight, dscore, dproduct;
};

/// Of scores that are plain. product: q . k times the scale; dweight: factor g . v; `i`: of the
/// pair's query.
template <class T, int n>
__device__ PairGradients<T> differentiate_plain(const Backward<T>& f,
                                                const QueryNumbers<T, n>& queries, int i, T product,
                                                T dweight) {
  const T weight = math::fast_exp(product - queries.top[i]) * queries.inverse_sum[i];
  const T dscore = weight * (dweight - queries.delta[i]);
  return {weight, dscore, f.rest * dscore};
}
/// Of scores of any kind.
template <class T, int n>
__device__ PairGradients<T> differentiate(const Backward<T>& f, const QueryNumbers<T, n>& queries,
                                          int i, T product, T dweight, const Pair& at) {
  const Scores<T>& scores = f.call.scores;
  T slope;
  const T score = scores(product, at, slope);
  const T weight = math::fast_exp(score - queries.top[i]) * queries.inverse_sum[i];
  const T drop = scores.dropout > 0 ? scores.drop(at) : T{1};
  const T dscore = weight * math::multiply_add(dweight, drop, -queries.delta[i]);
  const T dproduct = f.rest * dscore;
  return {weight * drop, dscore, scores.caps ? dproduct * slope : dproduct};
}

/// The caller sets dq, dk, dv, dbias and groups_of_head, and whether those stand in packs.
template <class T>
Backward<T> backward_of(const ProblemOnDevice& on, const AttentionValues& values,
                        const Tensor& delta, const Tensor& grad_output) {
  const AttentionProblem& p = on.problem;
  const T factor = factor_of<T>(p);
  Backward<T> f = {.call = call_of<T>(on),
                   .q = values.q.device_data<T>(),
                   .k = values.k.device_data<T>(),
                   .v = values.v.device_data<T>(),
                   .grad_output = grad_output.device_data<T>(),
                   .top = values.top.device_data<T>(),
                   .inverse_sum = values.inverse_sum.device_data<T>(),
                   .delta = delta.device_data<T>(),
                   .factor = factor,
                   .rest = static_cast<T>(p.scale) / factor,
                   .dq = nullptr,
                   .dk = nullptr,
                   .dv = nullptr,
                   .dbias = nullptr,
                   .groups_of_head = 1,
                   .memory = {}};
  f.call.packs = stand_in_packs<T>({{f.q, p.q, p.features},
                                    {f.k, p.k, p.features},
                                    {f.v, p.v, p.value_features},
                                    {f.grad_output, p.output, p.value_features}});
  return f;
}

}  // namespace maskgrad::ops::attention
