// Attention with several heads, within a sequence or to another.
#pragma once

#include <maskgrad/layers/layer.hpp>
#include <maskgrad/ops/nn/attention.hpp>
#include <maskgrad/ops/nn/rotary.hpp>

namespace maskgrad {

struct MultiHeadAttentionOptions {
  /// Heads of keys and values; 0: as many as heads. They divide the heads, which share them in
  /// groups (grouped queries, Ainslie et al. 2023).
  std::int64_t key_heads = 0;
  AttentionKind kind = AttentionKind::kBidirectional;
  /// Rotates queries and keys by their positions (rotary_embedding(); Su et al. 2021). The heads in
  /// it are ignored.
  std::optional<ops::RotaryOptions> rotary = {};
  bool bias = true;
  Initializer output = glorot_uniform();  // of o
  bool output_matrix = true;              // false: there is no o, and y is what the heads give
  /// The features d of a head; 0: D / H. With another d the heads need not divide D, as where some
  /// of them were pruned.
  std::int64_t head_features = 0;
};

/// y = concat_h(softmax(q_h k_h^T / sqrt(d)) v_h) o, with q = x q + q_bias and so on, d = D / H.
/// x [B, S, D] -> [B, S, D]. Vaswani et al. 2017, section 3.2.
/// Parameters, Glorot-uniform: q [D, H d]; k, v [D, K d]; o [H d, D]. With options.bias also
/// q_bias [H d], k_bias and v_bias [K d], o_bias [D], which start as 0. Without an output matrix
/// y [B, S, H d] is what the heads give.
///
/// Uses the mask of x and passes it on. A position attends to the pairs of the pass
/// (Pass::attention()): positions that exist, of its own sequence, and not behind it where the
/// attention is causal.
/// The constructor throws Error unless D is above 0, H divides D and K divides H, and for
/// head_features below 0. Where queries and keys are rotated it throws as check_rotary(). A call
/// throws Error for an x of other dimensions.
class MultiHeadAttention : public Layer {
 public:
  /// `features` is D, `heads` is H.
  MultiHeadAttention(std::int64_t features, std::int64_t heads,
                     const MultiHeadAttentionOptions& options = {});

  /// Attention to another sequence: queries from x [B, S, D], keys and values from memory
  /// [B, T, D] (cross-attention, Vaswani et al. 2017). All pairs of positions that exist attend.
  /// The output carries the mask of x. Throws Error as a call, for a batch that differs, for a
  /// layer that is causal, rotates or ends masks, and on a packed row.
  virtual Variable attend(const Variable& x, const Variable& memory, Pass& pass);

  /// A call whose keys count as far as `keep` says, [B, S], 0 to 1: with the shares a_t that a call
  /// has, a head gives sum_t a_t keep_t v_t / sum_t a_t keep_t. Where keep is 1 or 0 this is a call
  /// on an x whose mask leaves out the positions with 0, up to rounding, for all other positions.
  /// But keep is a value: its gradient reaches the keys that it leaves out. It is not read where x
  /// does not exist. Where no key is kept, a head gives 0, with the gradient of sum_t a_t keep_t
  /// v_t. Throws Error as a call, for a keep of another shape, for a layer that ends masks or
  /// rotates or has fewer heads of keys, and where the pass reads on from a cache.
  Variable attend_kept(const Variable& x, const Variable& keep, Pass& pass);

  /// d, the features of a head.
  std::int64_t head_features() const { return head_; }

  /// For each position 3 times the elements of all matrices: a product and its two gradients. For
  /// each pair 7 H d + 32 H: two products forward, five backward, and two exponentials, each
  /// counted as 16 multiplications.
  std::optional<ops::Work> row_work() const override;

 protected:
  /// For a layer of another name and rule.
  MultiHeadAttention(std::string kind, MaskRule rule, std::int64_t features, std::int64_t heads,
                     const MultiHeadAttentionOptions& options);

  /// What attention within x computes, and what is added to its scores, see AttentionOptions. The
  /// default is that of the pass, and no bias.
  struct Attended {
    ops::AttentionPlan plan;
    Variable bias = {};
  };
  virtual Attended attended(const Variable& x, Pass& pass);
  std::int64_t heads() const { return heads_; }
  AttentionKind attention_kind() const { return kind_; }

  Variable forward(const Variable& x, Pass& pass) override;
  void check_input(const Variable& x) const;
  /// Attention within x [B, S, D], which carries no mask, of queries, keys and values that have one
  /// size and are not rotated. The heads in `options` are ignored.
  Variable attend_within(const Variable& x, const ops::AttentionPlan& plan,
                         ops::AttentionOptions options = {}) const;

 private:
  // A matrix and a bias, or nullptr where there is none.
  struct Projection {
    Parameter* weight = nullptr;
    Parameter* bias = nullptr;
  };
  struct Parts {
    Variable q, k, v;
  };
  Projection projection(const std::string& name, std::int64_t inputs, std::int64_t outputs,
                        bool bias, const Initializer& start);
  static Variable of(const Variable& x, const Projection& p);
  Variable input_of(const Variable& x) const;
  // Whether one product of several matrices gives queries, keys and values.
  bool is_stacked() const { return key_heads_ == heads_ && !rotary_; }
  Variable stacked(const Variable& x) const;
  Parts parts_of(const Variable& x, const Variable& input, Pass& pass) const;
  Variable rotated(const Variable& x, std::int64_t heads, const Tensor& positions) const;
  Variable heads_of(const Variable& q, const Variable& k, const Variable& v,
                    const Attended& attended) const;
  Variable average(const Variable& q, const Variable& k, const Variable& v,
                   const Attended& attended) const;
  Variable output_of(const Variable& heads) const;

  std::int64_t features_, heads_, key_heads_, head_;
  AttentionKind kind_;
  std::optional<ops::RotaryOptions> rotary_;
  Projection q_, k_, v_, o_;
};

}  // namespace maskgrad
