// What the operations of attention check, and what their calls by name say. Internal to attention.
#pragma once

#include <maskgrad/ops/nn/attention.hpp>
#include <maskgrad/tensor/autograd/record.hpp>

namespace maskgrad::ops {

/// The pairs of the input "mask", a bool tensor that broadcasts to [B, H, S, T]; undefined when
/// there is none.
AttentionMask mask_of_call(const OpDef& op, const OpCall& call, std::int64_t queries,
                           std::int64_t keys);

/// The same with the queries that exist, of the input "queries" [B, S].
AttentionPlan plan_of_call(const OpDef& op, const OpCall& call, std::int64_t queries,
                           std::int64_t keys);
/// What a call records beside q, k, v and bias. All three must live as long.
PoolVector<Given> given_of(const AttentionPlan& plan, const AttentionOptions& options,
                           const Random::State& state);
/// The state of options.random, if there is one.
Random::State state_of(const AttentionOptions& options);

void check_no_sequence_mask(const OpDef& op, std::initializer_list<const Variable*> inputs);
/// rows and keys [B, H, S, D] and [B, H_kv, T, D']; `pairs` is what the mask must fit.
void check_pairs(const OpDef& op, const Shape& rows, const Shape& keys, const Shape& pairs,
                 const AttentionMask& mask);
void check_heads(const OpDef& op, const char* what, const Variable& x);
/// softcap, dropout, and a bias for inputs of this dtype.
void check_options(const OpDef& op, const AttentionOptions& options, DType dtype,
                   const Shape& pairs);
/// Throws Error when there are none.
Random numbers_of_dropout(const char* name, const AttentionOptions& options);
/// Throws Error unless the queries of a plan fit the input.
void check_queries(const OpDef& op, const SequenceMask& queries, const Shape& input);

/// The arguments scale, softcap, dropout, seed, state and heads; the first two are NaN for none.
std::vector<ArgSpec> attention_args();
/// The inputs "mask" and "queries".
InputSpec pairs_input();
InputSpec queries_input();
/// What they say, and the input "bias".
AttentionOptions options_of_call(const OpCall& call);

/// The scores [B, H, S, T] of q [B, H, S, D] and k [B, H_kv, T, D], scaled, capped and with the
/// bias; and the softmax of the kept ones.
Variable composed_scores(const Variable& q, const Variable& k, const AttentionMask& mask,
                         const AttentionOptions& options);
Variable composed_weights(const Variable& scores, const AttentionMask& mask);
/// Tells the watch of this thread, if there is one, of a call of attention_values().
void note_weights(const Variable& weights, const Variable& v, const AttentionMask& mask);
/// scaled_dot_product_attention() as three operations, the oracle of the fused one.
/// `plan` has pairs; what the three operations do not check has been checked.
Variable composed_attention(const Variable& q, const Variable& k, const Variable& v,
                            const AttentionPlan& plan, const AttentionOptions& options);
/// 1 / sqrt(D) when no scale is given.
double attention_scale(const AttentionOptions& options, std::int64_t features);

}  // namespace maskgrad::ops
