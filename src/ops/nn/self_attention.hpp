// Attention whose queries, keys and values come in one value.
#pragma once

#include <maskgrad/ops/nn/attention.hpp>

namespace maskgrad::ops {

/// scaled_dot_product_attention(qkv[0], qkv[1], qkv[2]), as stacked_matmul() makes them: qkv
/// [3, B, H, S, D] -> [B, H, S, D], or [3, B, S, H D] -> [B, S, H D]. The same bits; the gradients
/// of the three stand one after another too, as the product that they came from wants them. Throws
/// Error as scaled_dot_product_attention().
Variable self_attention(const Variable& qkv, const AttentionPlan& plan = {},
                        const AttentionOptions& options = {});

}  // namespace maskgrad::ops
