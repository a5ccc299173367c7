// Losses and metrics as sums with counts: the division comes last, so that padding and gradient
// accumulation never change a mean.
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

/// A loss over `count` targets: `sum` is a scalar that can be differentiated.
struct SumCount {
  Variable sum;
  std::int64_t count = 0;

  /// sum / count, and exactly 0 with gradient 0 when nothing was counted.
  Variable mean() const;
};

/// sum_i -log softmax(logits_i)[target_i], stable for any finite logits.
/// logits [..., V], targets int32 or int64 [...] -> (scalar, number of targets). When the logits
/// carry a mask [B, S], only its positions count; the others are not read, and get exactly 0 back.
/// Throws Error when the shapes do not fit, or a counted target is outside 0 .. V-1: no id means
/// "ignore"; with_mask() leaves targets out.
SumCount cross_entropy(const Variable& logits, const Tensor& targets);

/// How many of the largest logits are at the target: (hits, number of targets). The first of equals
/// counts as the largest; where a logit is NaN, none does. Masks as above.
struct HitsCount {
  std::int64_t hits = 0, count = 0;
};
HitsCount accuracy(const Variable& logits, const Tensor& targets);

}  // namespace maskgrad::ops
