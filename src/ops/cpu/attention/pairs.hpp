// Products over the pairs that a mask keeps. Internal to src/ops.
//
// A product of matrices with zeros for what is masked would do where everything is finite; 0 times
// an Inf that another query may see would not.
#pragma once

#include <maskgrad/tensor/cuda/kernel_slot.hpp>
#include <maskgrad/tensor/mask/attention_mask.hpp>

namespace maskgrad::ops {

/// pairs[b, h, s, t] = rows[b, h, s] . keys[b, h / group, t] where kept, 0 elsewhere.
/// rows [B, H, S, D], keys [B, H_kv, T, D] -> [B, H, S, T].
Tensor pair_products(const Tensor& rows, const Tensor& keys, const AttentionMask& mask);

/// out[b, h, s] = sum over kept t of pairs[b, h, s, t] keys[b, h / group, t], in the order of a
/// BatchSum of one sample. pairs [B, H, S, T], keys [B, H_kv, T, D] -> [B, H, S, D].
Tensor sum_over_keys(const Tensor& pairs, const Tensor& keys, const AttentionMask& mask);

/// out[b, g, t] = sum over heads h of group g, and s that may attend to t, of
/// pairs[b, h, s, t] rows[b, h, s], likewise over all (h, s).
/// pairs [B, H, S, T], rows [B, H, S, D] -> [B, key_heads, T, D].
Tensor sum_over_rows(const Tensor& pairs, const Tensor& rows, const AttentionMask& mask,
                     std::int64_t key_heads);

// Their kernels, with the same bits.
inline constinit CudaKernel<void(const Tensor& rows, const Tensor& keys, const AttentionMask& mask,
                                 Tensor& pairs)>
    kPairProductsCuda{"attention_scores"};
inline constinit CudaKernel<void(const Tensor& pairs, const Tensor& keys, const AttentionMask& mask,
                                 Tensor& sums)>
    kSumOverKeysCuda{"attention_values"};
inline constinit CudaKernel<void(const Tensor& pairs, const Tensor& rows, const AttentionMask& mask,
                                 Tensor& sums)>
    kSumOverRowsCuda{"attention_values"};

}  // namespace maskgrad::ops
