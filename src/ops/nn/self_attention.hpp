// Attention whose queries, keys and values come in one value.
#pragma once

#include <maskgrad/ops/nn/attention.hpp>

namespace maskgrad::ops {

/// scaled_dot_product_attention(qkv[0], qkv[1], qkv[2]), with the same bits. stacked_matmul() makes
/// such a qkv. qkv [3, B, H, S, D] -> [B, H, S, D], or with options.heads = H
/// [3, B, S, H D] -> [B, S, H D]. The three gradients are one value of qkv's shape. Throws Error
/// for another shape of qkv, and as scaled_dot_product_attention().
Variable self_attention(const Variable& qkv, const AttentionPlan& plan = {},
                        const AttentionOptions& options = {});

}  // namespace maskgrad::ops
