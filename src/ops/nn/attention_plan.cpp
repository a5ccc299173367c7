#include <maskgrad/ops/cpu/attention/tiles.hpp>
#include <maskgrad/ops/nn/attention_plan.hpp>

namespace maskgrad::ops {

AttentionPlan::AttentionPlan(const AttentionMask& pairs) : pairs_(pairs), given_pairs_(pairs) {
  if (pairs.defined()) tiles_ = AttentionTiles(pairs).body();
}

AttentionPlan AttentionPlan::existing(const SequenceMask& positions, const AttentionMask& pairs) {
  const AttentionMask all = AttentionMask::existing(positions);
  AttentionPlan plan(pairs.defined() ? all & pairs : all);
  plan.queries_ = positions;
  plan.given_pairs_ = pairs;
  return plan;
}

AttentionTiles tiles_of(const AttentionPlan& plan) { return AttentionTiles(plan.tiles_); }

AttentionExplanation explain_attention(const AttentionPlan& plan) {
  check_given(plan.defined(), "explain_attention", "the plan");
  const AttentionMask& mask = plan.pairs();
  const MaskExplanation about = explain(mask, AttentionTiles::kQueries);
  const bool one =
      mask.shape()[2] <= AttentionTiles::kQueries && mask.shape()[3] <= AttentionTiles::kKeys;
  const std::int64_t pairs = tiles_of(plan).pairs();
  const double computed =
      about.pairs ? static_cast<double>(pairs) / static_cast<double>(about.pairs) : 0.0;
  return {about, one ? "one tile a head" : "tiles",
          fmt::format("computes {:.1f}% of all pairs, and keeps {:.1f}%; {} where a block of them "
                      "is not full",
                      100 * computed, 100 * about.share(),
                      mask.form() == AttentionMask::Form::kBits ? "bits are read"
                                                                : "intervals are compared")};
}

std::string to_string(const AttentionExplanation& explanation) {
  return fmt::format("{}kernel: {}: {}\n", to_string(explanation.mask), explanation.kernel,
                     explanation.reason);
}

}  // namespace maskgrad::ops
