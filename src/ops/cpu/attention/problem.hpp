// One call of fused attention. Internal to attention.
#pragma once

#include <array>
#include <optional>

#include <maskgrad/ops/cpu/attention/tiles.hpp>
#include <maskgrad/ops/nn/attention.hpp>
#include <maskgrad/ops/nn/head_layout.hpp>
#include <maskgrad/tensor/autograd/op_def.hpp>
#include <maskgrad/tensor/cuda/kernel_slot.hpp>

namespace maskgrad::ops {

/// Shapes as in attention.hpp. What forward and backward have in common.
struct AttentionProblem {
  std::int64_t batch, heads, key_heads, queries, keys, features, value_features;
  HeadLayout q, k, v, output;  // gradients stand as their inputs do
  DType dtype;
  double scale;
  std::optional<double> softcap;
  double dropout;
  std::optional<Random> random;  // of the dropout
  AttentionMask mask;
  AttentionTiles tiles;
  Tensor bias;                              // undefined, or broadcasts to [B, H, S, T]
  std::array<std::int64_t, 4> bias_stride;  // how far apart neighbours stand in it

  /// Everything has been checked; `plan` has pairs.
  static AttentionProblem of(const Heads& q, const Heads& k, const Heads& v, DType dtype,
                             const Shape& output, const AttentionPlan& plan,
                             const AttentionOptions& options);

  std::int64_t key_head(std::int64_t h) const { return h / (heads / key_heads); }
  /// How many pairs are computed for a head, on average.
  std::int64_t pairs_of_head() const {
    const Shape& shape = mask.shape();
    return tiles.pairs() / std::max<std::int64_t>(1, shape[0] * shape[1]);
  }
  /// Calls f(first, last) for the queries of the tile that are not among `those`, twice.
  template <class F>
  void for_others(std::int64_t tile, const QueryTile& those, F&& f) const {
    const std::int64_t begin = tile * AttentionTiles::kQueries;
    const std::int64_t end = std::min(begin + AttentionTiles::kQueries, queries);
    const bool none = those.count() == 0;
    f(begin, none ? begin : those.first);
    f(none ? begin : those.last, end);
  }
};

/// What a call reads and writes.
struct AttentionValues {
  Tensor q, k, v, output;
  // [B, H, S]: the largest kept score, and 1 / (sum of exp(score - top)), so that a weight is
  // exp(score - top) * inverse_sum. Both 0 for a query without any. In one number, a large top
  // would swallow the logarithm of the sum.
  Tensor top, inverse_sum;
};
/// Where the gradients go: tensors like the inputs; `bias` undefined when nobody asks, else holding
/// 0.
struct AttentionGradients {
  Tensor q, k, v, bias;
};

// Their kernels, with the same bits. The bias of the problem is on the device too. `lanes`: of the
// CPU's vectors, in which it adds up the features of a row.
inline constinit CudaKernel<void(const AttentionProblem& problem, const Tensor& q, const Tensor& k,
                                 const Tensor& v, Tensor& output, Tensor& top, Tensor& inverse_sum)>
    kFusedAttentionCuda{"scaled_dot_product_attention"};
inline constinit CudaKernel<void(const AttentionProblem& problem, const AttentionValues& values,
                                 int lanes, const Tensor& grad_output,
                                 AttentionGradients& gradients)>
    kFusedAttentionGradientsCuda{"scaled_dot_product_attention"};

/// Makes room for output, top and inverse_sum. `output` is the shape of the output.
void make_outputs(const AttentionProblem& problem, const Shape& output, AttentionValues& values);
/// Makes output, top and inverse_sum from q, k and v: softmax(scale q k^T + bias) v over the parts
/// that tiles say. No table of S x T is kept (Dao et al. 2022, "FlashAttention", algorithms 1 and
/// 4). `output` is the shape of the output.
void fused_attention(const AttentionProblem& problem, const Shape& output, AttentionValues& values);
/// Computes the weights again from top and inverse_sum, and writes all of the gradients.
void fused_attention_gradients(const AttentionProblem& problem, const AttentionValues& values,
                               const Tensor& grad_output, AttentionGradients& gradients);

}  // namespace maskgrad::ops
