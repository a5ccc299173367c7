// Attention under a mask of pairs.
//
// Shapes: B batch, H heads of queries, H_kv heads of keys and values, S queries, T keys, D features
// of a head. H_kv divides H, and head h of the queries uses head h / (H / H_kv) of the keys and
// values (grouped queries, Ainslie et al. 2023).
#pragma once

#include <optional>
#include <string>

#include <maskgrad/ops/nn/attention_plan.hpp>
#include <maskgrad/tensor/autograd/variable.hpp>
#include <maskgrad/tensor/random.hpp>

namespace maskgrad::ops {

struct AttentionOptions {
  /// Added to the scaled and capped scores. Any shape that broadcasts to [B, H, S, T], dtype of q.
  /// The bias takes a gradient. It is not a mask: pairs are left out by the AttentionPlan.
  Variable bias = {};
  std::optional<double> scale = {};    // 1 / sqrt(D) when not given
  std::optional<double> softcap = {};  // c > 0: scores become c tanh(score / c), before the bias
  double dropout = 0;                  // of the weights, see dropout(); needs `random`
  /// The random numbers of the dropout. There is no default: with one, every step and every layer
  /// would drop the same pairs.
  std::optional<Random> random = {};
  /// The number of heads H of inputs [B, S, H D], where the heads share a row. 1 for inputs
  /// [B, H, S, D].
  std::int64_t heads = 1;
};

/// softmax(scale q k^T + bias) v over the pairs that the mask keeps (Vaswani et al. 2017, eq. 1).
///
/// q [B, H, S, D], k [B, H_kv, T, D], v [B, H_kv, T, D_v] -> [B, H, S, D_v]. With
/// options.heads = H the heads share rows, as in layers: q [B, S, H D], k [B, T, H_kv D],
/// v [B, T, H_kv D_v] -> [B, S, H D_v]. The bits are the same, and nothing is rearranged.
/// k may also stand in blocks [B, N, H_kv D, 16] of the T keys that v has (key_blocks.hpp), beside
/// q [B, S, H D]. Text is generated with them: one query takes a fraction of the time. The pairs of
/// the plan broadcast to [B, H, S, T]. A plan without pairs keeps them all. For inputs of three
/// dimensions with one head, pairs [1, B, S, T] are read as [B, 1, S, T]. The output carries the
/// mask plan.queries(). A plan with queries needs inputs of three dimensions.
///
/// A query that may attend to nothing gives exactly 0 and sends exactly 0 back. A query whose
/// scores are all -inf gives 0 as well, where masked_softmax() would give NaN.
/// Neither the result nor a gradient depends on a pair that the mask leaves out, whatever k and v
/// hold there.
///
/// Blocks of pairs without a kept one are skipped. Time grows with the pairs in the other blocks,
/// and memory with S + T. The backward pass computes the weights again (Dao et al. 2022,
/// FlashAttention).
///
/// Throws Error for shapes, dtypes or options that do not fit, for a dropout without random
/// numbers, and for inputs that carry a mask [B, S]: give it to AttentionPlan::existing(), and
/// drop_mask() it. AttentionMask::padding() alone is not enough: queries that do not exist then
/// take part in the backward pass, and their values reach the gradients of k and v.
Variable scaled_dot_product_attention(const Variable& q, const Variable& k, const Variable& v,
                                      const AttentionPlan& plan = {},
                                      const AttentionOptions& options = {});

/// q_s . k_t for the kept pairs, exactly 0 for the others. The scores are not scaled.
/// q [B, H, S, D], k [B, H_kv, T, D] -> [B, H, S, T]. Throws Error for an undefined mask, for
/// shapes or dtypes that do not fit, and for inputs that carry a mask [B, S].
Variable attention_scores(const Variable& q, const Variable& k, const AttentionMask& mask);

/// The sum over the kept t of weights[s, t] v_t. weights [B, H, S, T], v [B, H_kv, T, D_v] ->
/// [B, H, S, D_v]. Throws Error as attention_scores().
Variable attention_values(const Variable& weights, const Variable& v, const AttentionMask& mask);

}  // namespace maskgrad::ops
