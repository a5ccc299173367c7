// What attention attends to, seen while a model runs. For people and for tests.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <maskgrad/tensor/mask/attention_mask.hpp>
#include <maskgrad/tensor/nested.hpp>

namespace maskgrad::ops {

/// One call of attention, in the shapes of attention.hpp.
struct SeenAttention {
  std::string layer;    // where it was called: "decoder.block0.attention", see Scope::path()
  AttentionMask pairs;  // that the call kept: [B or 1, H or 1, S, T]
  SequenceMask queries = {};  // [B, S]; undefined when all exist
  /// softmax(scale q k^T + bias) over the kept pairs, before any dropout: [B, H, S, T] on the CPU,
  /// in the dtype of q. A row sums to 1, up to rounding. A pair that is not kept has exactly 0, and
  /// so has a query that attends to nothing.
  Tensor weights = {};
  std::int64_t key_heads = 0;
  std::int64_t features = 0, value_features = 0;  // of a head
  /// Pairs in the blocks that the kernel computed, of all B H S T. At least kept_pairs().
  std::int64_t computed_pairs = 0;
  /// The most by which the bias of the call changes a weight; nothing where it has none.
  std::optional<double> bias_effect = {};

  std::int64_t all_pairs() const { return weights.numel(); }
  /// Of all B H S T pairs those that the mask keeps.
  std::int64_t kept_pairs() const;
  /// For each pair a product of two rows of features and a sum of value features.
  std::int64_t multiply_adds_of_pair() const { return features + value_features; }
};

/// While it lives, the calls of attention on this thread are noted, whatever layer makes them:
///
///   AttentionWatch watch;
///   model(x);
///   for (const SeenAttention& seen : watch.seen()) ...
///
/// It computes the weights beside the call, from the same queries and keys. So the call takes the
/// time and the memory of S x T weights more, and its result and gradients keep every bit. Without
/// a watch nothing is computed. Of several watches the one made last notes.
class AttentionWatch : public Nested<AttentionWatch> {
 public:
  /// In the order of the calls. attention_values() counts as one, of the weights that it got.
  const std::vector<SeenAttention>& seen() const { return seen_; }

  /// For operations.
  void note(SeenAttention seen) { seen_.push_back(std::move(seen)); }

 private:
  std::vector<SeenAttention> seen_;
};

}  // namespace maskgrad::ops
