// Attention whose heads see windows of their own.
#pragma once

#include <vector>

#include <maskgrad/layers/multi_head_attention.hpp>

namespace maskgrad {

/// MultiHeadAttention whose head h sees the keys at most windows[h] away: those whose numbers
/// (Pass::positions()) differ from the query's by no more, on both sides, or behind it where the
/// attention is causal. A window of 0 is the position itself. Blocks of pairs outside are skipped.
/// Uses the mask of x and passes it on. x [B, S, D] -> [B, S, D]. Parameters: those of
/// MultiHeadAttention. Beltagy et al. 2020, "Longformer: the long-document transformer", whose
/// windows have one size. An AdaptiveSpan hardens to it.
class WindowAttention : public MultiHeadAttention {
 public:
  /// `features` is D; there are as many heads as windows. Throws Error for a window below 0, and as
  /// MultiHeadAttention.
  WindowAttention(std::int64_t features, std::vector<std::int64_t> windows,
                  const MultiHeadAttentionOptions& options = {});

  const std::vector<std::int64_t>& windows() const { return windows_; }

  /// Throws Error: windows are distances within one sequence.
  Variable attend(const Variable& x, const Variable& memory, Pass& pass) override;

 protected:
  Attended attended(const Variable& x, Pass& pass) override;

 private:
  std::vector<std::int64_t> windows_;
};

}  // namespace maskgrad
