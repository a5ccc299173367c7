// Which places the operations of attention read. Internal to attention.
#pragma once

#include <maskgrad/tensor/attention_mask.hpp>

namespace maskgrad::ops {

/// Which places of the output [B, H, S, D_v] depend on marked places of q, k, v or the bias (input
/// 0 to 3): a row on the pairs that are kept of it, a feature of it on that feature of the values.
Tensor attention_reached(std::size_t input, const Tensor& marked, const Shape& pairs,
                         const Shape& output, const AttentionMask& mask);
/// Which pairs [B, H, S, T] depend on marked rows [B, H, S, D] (input 0) or keys [B, H_kv, T, D].
Tensor pairs_reached(std::size_t input, const Tensor& marked, const Shape& pairs,
                     const AttentionMask& mask);
/// Which sums [B, H, S, D_v] depend on marked pairs (input 0), or on marked values that a kept pair
/// weighs.
Tensor sums_reached(std::size_t input, const Tensor& marked, const Shape& pairs, const Shape& sums,
                    const AttentionMask& mask);

}  // namespace maskgrad::ops
