// What the operations of attention check, and which pairs theirs are. Internal to attention.
#pragma once

#include <maskgrad/ops/attention.hpp>
#include <maskgrad/tensor/op_def.hpp>

namespace maskgrad::ops {

/// The pairs of the input "mask", a bool tensor that broadcasts to [B, H, S, T]; undefined when
/// there is none.
AttentionMask mask_of_call(const OpCall& call, std::int64_t queries, std::int64_t keys);

void check_no_sequence_mask(const OpDef& op, std::initializer_list<const Variable*> inputs);
/// rows and keys [B, H, S, D] and [B, H_kv, T, D']; `pairs` is what the mask must fit.
void check_pairs(const OpDef& op, const Shape& rows, const Shape& keys, const Shape& pairs,
                 const AttentionMask& mask);
void check_heads(const OpDef& op, const char* what, const Variable& x);

/// Which pairs [B, H, S, T] depend on marked rows [B, H, S, D] (input 0) or keys [B, H_kv, T, D].
Tensor pairs_reached(std::size_t input, const Tensor& marked, const Shape& pairs,
                     const AttentionMask& mask);
/// Which sums [B, H, S, D_v] depend on marked pairs (input 0), or on marked values that a kept pair
/// weighs.
Tensor sums_reached(std::size_t input, const Tensor& marked, const Shape& pairs, const Shape& sums,
                    const AttentionMask& mask);

/// scaled_dot_product_attention() as three operations, the oracle of the fused one.
/// `mask` is defined, and everything has been checked.
Variable composed_attention(const Variable& q, const Variable& k, const Variable& v,
                            const AttentionMask& mask, const AttentionOptions& options);
/// 1 / sqrt(D) when no scale is given.
double attention_scale(const AttentionOptions& options, std::int64_t features);

}  // namespace maskgrad::ops
