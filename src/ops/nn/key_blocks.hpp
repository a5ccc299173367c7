// How keys stand while text is generated.
#pragma once

#include <maskgrad/tensor/cuda/kernel_slot.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::ops {

/// Keys in blocks of 16, feature by feature: feature f of key t of sample b stands at
/// [b, t / 16, f, t % 16] of [B, N, F, 16]. So a query's scores for 16 keys are sums of vectors
/// that stand one after another in memory, and a key more moves no other.
inline constexpr std::int64_t kKeysOfBlock = 16;

/// [B, N, F, 16] for keys [B, T, F]: N = T / 16, rounded up.
inline Shape shape_of_key_blocks(const Shape& keys) {
  return {keys[0], (keys[1] + kKeysOfBlock - 1) / kKeysOfBlock, keys[2], kKeysOfBlock};
}
/// Kernels of the two functions below, for floating dtypes.
inline constinit CudaKernel<void(const Tensor& keys, Tensor& blocks)> kToKeyBlocksCuda{
    "scaled_dot_product_attention"};
inline constinit CudaKernel<void(const Tensor& blocks, Tensor& keys)> kFromKeyBlocksCuda{
    "scaled_dot_product_attention"};

/// keys [B, T, F] -> [B, N, F, 16], 0 behind the last key. Any dtype.
Tensor to_key_blocks(const Tensor& keys);
/// The first T keys of blocks [B, N, F, 16] -> [B, T, F]. Any dtype.
Tensor from_key_blocks(const Tensor& blocks, std::int64_t keys);

}  // namespace maskgrad::ops
