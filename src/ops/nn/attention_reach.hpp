// Which places the operations of attention read. Internal to attention.
#pragma once

#include <maskgrad/tensor/autograd/reach.hpp>
#include <maskgrad/tensor/mask/attention_mask.hpp>

namespace maskgrad::ops {

// Each carries marks along a way, as spread() does.

/// Between q, k, v or the bias (input 0 to 3) and the output [B, H, S, D_v]: a row depends on the
/// pairs that are kept of it, a feature of it on that feature of the values.
Tensor attention_reached(std::size_t input, const Tensor& marked, const Way& way,
                         const Shape& pairs, const AttentionMask& mask);
/// Between rows [B, H, S, D] (input 0) or keys [B, H_kv, T, D], and pairs [B, H, S, T].
Tensor pairs_reached(std::size_t input, const Tensor& marked, const Way& way,
                     const AttentionMask& mask);
/// Between pairs (input 0) or values [B, H_kv, T, D_v], and sums [B, H, S, D_v].
Tensor sums_reached(std::size_t input, const Tensor& marked, const Way& way, const Shape& pairs,
                    const AttentionMask& mask);

}  // namespace maskgrad::ops
