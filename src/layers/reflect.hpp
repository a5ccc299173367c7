// Self-attention with one head, and its mask by axis.
#pragma once

#include <string_view>

#include <maskgrad/layers/multi_head_attention.hpp>
#include <maskgrad/tensor/mask/attention_mask.hpp>

namespace maskgrad {

/// Where a sequence mask enters the scores [B, queries, keys] of self-attention.
enum class MaskAxis : std::uint8_t {
  kKey,    // padding keys get no weight, masked query rows give exactly 0
  kQuery,  // -1e9 is added to the rows of masked queries, which hides no key: for comparison only
  kNone,   // the mask is dropped
};
/// "key", "query", "none".
std::string_view to_string(MaskAxis axis);
/// The inverse. Throws Error for any other text.
MaskAxis mask_axis_from_string(std::string_view name);

/// Self-attention: y = softmax(x q (x k)^T / sqrt(D)) x v. It is MultiHeadAttention with one head
/// and neither biases nor an output matrix, where the mask enters at kKey.
/// x [B, S, D] -> [B, S, D]. Parameters q, k, v: each [D, D], Glorot-uniform, no bias.
/// With kKey the layer uses the mask and passes it on, and attends to the pairs of the pass
/// (Pass::attention()). With kQuery and kNone it ends the mask: padding takes part in every
/// average, every row of the output counts, and attend() throws Error.
/// Throws Error for an x of other dimensions.
/// Source: the layer `Reflect` of "Unified Adaptable Masking That Follows"; Vaswani et al. 2017,
/// eq. 1.
class Reflect : public MultiHeadAttention {
 public:
  explicit Reflect(std::int64_t features, MaskAxis axis = MaskAxis::kKey);

  /// Which queries attend to which keys, for a batch with this mask: [B, 1, S, S] with kKey, all
  /// pairs [1, 1, S, S] with the other axes. Throws Error for an undefined mask.
  AttentionMask pairs(const SequenceMask& mask) const;
  /// With kKey, 9 D^2 for each position: three products and their gradients. 7 D + 32 for each
  /// pair: two products forward, five backward, and two exponentials, each counted as 16
  /// multiplications. Nothing with the other axes: they read padding.
  std::optional<ops::Work> row_work() const override;

 protected:
  Variable forward(const Variable& x, Pass& pass) override;

 private:
  MaskAxis axis_;
};

}  // namespace maskgrad
