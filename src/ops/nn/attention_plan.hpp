// What attention has to compute, made once for all layers that attend alike.
#pragma once

#include <string>

#include <maskgrad/tensor/mask/attention_mask.hpp>
#include <maskgrad/tensor/mask/explain.hpp>

namespace maskgrad::ops {

class AttentionTiles;

/// Which pairs attend, which queries exist, and the tiles that kernels compute. Immutable; copies
/// share everything. A default-constructed plan means every pair, whatever the sizes.
class AttentionPlan {
 public:
  AttentionPlan() = default;
  /// Attention over these pairs; all queries exist. The conversion is implicit, so an AttentionMask
  /// may be given for a plan.
  AttentionPlan(const AttentionMask& pairs);
  /// Self-attention between the positions [B, S] that exist: over all their pairs, or over those
  /// that `pairs` keeps. The output of attention carries `positions` as its mask. Throws Error for
  /// undefined positions, and for pairs of other sizes.
  static AttentionPlan existing(const SequenceMask& positions, const AttentionMask& pairs = {});

  bool defined() const { return pairs_.defined(); }
  const AttentionMask& pairs() const { return pairs_; }
  /// Which queries exist [B, S]; undefined when all do. The others attend to nothing.
  const SequenceMask& queries() const { return queries_; }
  /// The pairs that the plan was made from, before existing() left any out. Undefined when none
  /// were given.
  const AttentionMask& given_pairs() const { return given_pairs_; }

 private:
  friend AttentionTiles tiles_of(const AttentionPlan& plan);

  AttentionMask pairs_, given_pairs_;
  SequenceMask queries_;
  Ref<const RefCounted> tiles_;
};

/// How attention computes a plan, and why.
struct AttentionExplanation {
  MaskExplanation mask;
  std::string kernel;  // "one tile a head", "tiles"
  std::string reason;
};
/// Explains a plan. Throws Error for a plan without pairs.
AttentionExplanation explain_attention(const AttentionPlan& plan);
/// The explanation of the mask, and a line for the kernel.
std::string to_string(const AttentionExplanation& explanation);

}  // namespace maskgrad::ops
