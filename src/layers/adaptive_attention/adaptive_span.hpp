// Attention whose heads learn how far they look.
#pragma once

#include <maskgrad/layers/adaptive_attention/window_attention.hpp>

namespace maskgrad {

struct AdaptiveSpanOptions {
  MultiHeadAttentionOptions attention = {};
  /// R: the distance over which a weight goes from 1 to 0.
  double ramp = 32;
  /// What z / N starts as, between 0 and 1.
  double start = 0.5;
};

/// MultiHeadAttention with a learned soft window for each head. A pair x apart has the weight
///
///   a_x = m(x) e^s_x / sum_y m(y) e^s_y,   m(x) = min(max((R + z - x) / R, 0), 1),
///
/// with the score s_x, the span z of the head, and distances as WindowAttention has them. Pairs at
/// a distance of R + z or more have the weight 0 and are skipped. Sukhbaatar et al. 2019, "Adaptive
/// attention span in transformers". There z is N v with v cut to 0..1; here it is N sigmoid(v),
/// whose gradient never ends.
///
/// Uses the mask of x and passes it on. x [B, S, D] -> [B, S, D]. Parameters: those of
/// MultiHeadAttention, and span [H], v, which starts where the options say. The pairs that a call
/// skips follow from the values that z has then. The weights take memory for each pair.
class AdaptiveSpan : public MultiHeadAttention {
 public:
  /// `features` is D, `heads` is H, `most` is N. Throws Error unless N is 1 to 2^30, R above 0 and
  /// at most 2^30, 1 / R finite, and the start between 0 and 1, and as MultiHeadAttention.
  AdaptiveSpan(std::int64_t features, std::int64_t heads, std::int64_t most,
               const AdaptiveSpanOptions& options = {});

  /// z of each head, [H].
  Variable spans() const;
  /// The mean of z over the heads, a number. Times a price it is a term of the loss that makes
  /// heads look no further than they need.
  Variable penalty() const;
  /// A WindowAttention: the head sees whatever has m >= 1/2, with the weight 1, which is
  /// x <= z + R/2. Throws Error where a span is NaN, and as Layer::harden().
  std::optional<Hardened> harden() override;

  /// Throws Error: spans are distances within one sequence.
  Variable attend(const Variable& x, const Variable& memory, Pass& pass) override;

 protected:
  Attended attended(const Variable& x, Pass& pass) override;

 private:
  Variable weights(std::int64_t count) const;

  AdaptiveSpanOptions options_;
  std::int64_t features_, most_;
  Parameter& span_;
};

}  // namespace maskgrad
