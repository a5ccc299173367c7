// Losses and metrics as sums with counts: the division comes last, so that padding and gradient
// accumulation never change a mean.
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

/// A loss over `count` targets: `sum` is a scalar that can be differentiated.
struct SumCount {
  Variable sum;
  std::int64_t count = 0;

  /// sum / count. Exactly 0, with gradient 0, when nothing was counted.
  Variable mean() const;
};

/// sum_i -log softmax(logits_i)[target_i], stable for any finite logits.
/// With label_smoothing a > 0 it is sum_i sum_c -q_ic log softmax(logits_i)[c], where q_i is
/// (1 - a) onehot(target_i) + a / V (Szegedy et al. 2016). Then a logit of -inf at any class makes
/// the loss infinite, and the gradient stays finite.
/// logits [..., V], targets int32 or int64 [...] -> (scalar, number of targets). When the logits
/// carry a mask [B, S], only the positions that it keeps count. The others are not read, and their
/// gradient is exactly 0.
/// Throws Error when the shapes or the mask do not fit, when a target that counts is outside
/// 0 .. V-1, or unless 0 <= label_smoothing <= 1. No id means "ignore": to leave targets out, call
/// with_mask() on the logits.
SumCount cross_entropy(const Variable& logits, const Tensor& targets, double label_smoothing = 0);

/// Hits among `count` targets. `hits` is a scalar, int64, where the logits are: no host waits for
/// it until it is read, as by hits.item().
struct HitsCount {
  Tensor hits;
  std::int64_t count = 0;
};
/// Counts the targets whose logit is the largest of its row. Of equal logits the first counts as
/// the largest. A row with a NaN is no hit. logits [..., V], targets int32 or int64 [...] -> (hits,
/// number of targets). Masks and errors as cross_entropy().
HitsCount accuracy(const Variable& logits, const Tensor& targets);
/// Counts the sequences of which every target that counts is a hit, as in accuracy(): exact
/// matches. logits [B, ..., V], targets int32 or int64 [B, ...] -> (hits, number of sequences with
/// a target that counts). Masks and errors as cross_entropy(). Throws Error for targets that are
/// one number.
HitsCount sequence_accuracy(const Variable& logits, const Tensor& targets);

}  // namespace maskgrad::ops
