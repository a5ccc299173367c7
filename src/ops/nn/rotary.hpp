// Rotary position embedding.
#pragma once

#include <cstdint>

#include <maskgrad/tensor/autograd/variable.hpp>
#include <maskgrad/tensor/cuda/kernel_slot.hpp>

namespace maskgrad::ops {

/// Which two features of a head are pair i, of d features.
enum class RotaryPairs : std::uint8_t {
  kInterleaved,  // 2i and 2i + 1, as in the paper
  kHalves,       // i and i + d/2
};

struct RotaryOptions {
  /// The number of heads H of x [B, S, H d]. All heads of a position turn alike.
  std::int64_t heads = 1;
  RotaryPairs pairs = RotaryPairs::kInterleaved;
  double base = 10000;
};

/// y = x rotated, or rotated back; 0 in holes. cosines, sines [numbers, d/2]; turns int64 [B S]:
/// which of the numbers a position has, below 0 in a hole.
inline constinit CudaKernel<void(const Tensor& x, const Tensor& cosines, const Tensor& sines,
                                 const Tensor& turns, const RotaryOptions& options, bool inverse,
                                 Tensor& y)>
    kRotaryEmbeddingCuda{"rotary_embedding"};

/// Throws Error as `name` where heads of `head` features cannot be rotated so: for an odd number of
/// them, and for a base that is not finite or not above 0.
void check_rotary(const char* name, const RotaryOptions& options, std::int64_t head);

/// Rotates each pair (a, b) of features of a head by an angle t = p base^(-2i/d):
///   a' = a cos(t) - b sin(t)
///   b' = a sin(t) + b cos(t)
/// p is the number of the position, as Pass::positions() gives it, and i = 0 .. d/2-1 the number of
/// the pair. The product of a query and a key that are rotated depends on the difference of their
/// positions alone. Su et al. 2021, "RoFormer: Enhanced transformer with rotary position
/// embedding". x [B, S, H d]; positions int32 or int64 [B, S], or [1, S] for all sequences -> [B,
/// S, H d]. Angles, cosines and sines are computed in float64, then rounded to x's dtype. So
/// float32 is right at high positions, too. The positions take no gradient. The mask of x is kept.
/// In its holes y is 0, and positions are not read. Throws Error for other shapes or dtypes, for
/// heads that do not divide the last dimension, and for an odd d. Throws Error for a position below
/// 0, for a base that is not finite or not above 0, and for an angle that is not finite.
Variable rotary_embedding(const Variable& x, const Tensor& positions,
                          const RotaryOptions& options = {});

}  // namespace maskgrad::ops
