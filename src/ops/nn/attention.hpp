// Attention under a mask of pairs.
//
// Shapes: B batch, H heads, H_kv heads of keys and values (H_kv divides H: grouped queries, Ainslie
// et al. 2023; head h reads h / (H / H_kv)), S queries, T keys, D features.
#pragma once

#include <optional>
#include <string>

#include <maskgrad/ops/nn/attention_plan.hpp>
#include <maskgrad/tensor/autograd/variable.hpp>
#include <maskgrad/tensor/random.hpp>

namespace maskgrad::ops {

struct AttentionOptions {
  /// Added to the scaled and capped scores; any shape that broadcasts to [B, H, S, T]. Takes a
  /// gradient; it is no mask.
  Variable bias = {};
  std::optional<double> scale = {};    // 1 / sqrt(D) when not given
  std::optional<double> softcap = {};  // c: scores become c tanh(score / c), before the bias
  double dropout = 0;                  // of the weights, see dropout(); needs `random`
  /// What the dropout draws from. It has no default: a model that draws the same numbers in every
  /// step and layer drops the same pairs.
  std::optional<Random> random = {};
  /// H, of inputs [B, S, H D] whose heads share a row.
  std::int64_t heads = 1;
};

/// softmax(scale q k^T + bias) v over the pairs that the mask keeps (Vaswani et al. 2017, eq. 1).
/// q [B, H, S, D], k [B, H_kv, T, D], v [B, H_kv, T, D_v], pairs broadcasting to [B, H, S, T], or
/// undefined for all of them -> [B, H, S, D_v]. Or, with options.heads = H, as layers have them:
/// q [B, S, H D], k [B, T, H_kv D], v [B, T, H_kv D_v] -> [B, S, H D_v], the same bits without
/// rearranging anything. With one head, what pairs [1, B, S, T] say of each head is then meant for
/// each sample. The output carries plan.queries(); such a plan needs inputs of three dimensions.
/// A query that may attend to nothing gives exactly 0 and sends exactly 0 back. One whose scores
/// are all -inf gives 0 as well, where masked_softmax() would give NaN.
/// Neither the result nor a gradient depends on a pair that the mask leaves out, whatever k and v
/// hold there.
/// One pass over tiles of 64 queries, which computes the blocks of pairs that hold kept ones, and a
/// second one backward, which computes the weights again (Dao et al. 2022, FlashAttention): time in
/// proportion to the pairs in these blocks, memory to S + T.
/// Throws Error for shapes that do not fit, for a dropout without random numbers, and for inputs
/// that carry a mask [B, S]: say what it means here with AttentionPlan::existing, and drop_mask()
/// it. Under padding() alone queries that do not exist take part backward, and what stands in them
/// reaches the gradients of k and v.
Variable scaled_dot_product_attention(const Variable& q, const Variable& k, const Variable& v,
                                      const AttentionPlan& plan = {},
                                      const AttentionOptions& options = {});

/// q_s . k_t for the kept pairs, exactly 0 for the others: [B, H, S, T].
Variable attention_scores(const Variable& q, const Variable& k, const AttentionMask& mask);

/// sum over the kept t of weights[s, t] v_t: weights [B, H, S, T], v [B, H_kv, T, D_v] ->
/// [B, H, S, D_v].
Variable attention_values(const Variable& weights, const Variable& v, const AttentionMask& mask);

}  // namespace maskgrad::ops
