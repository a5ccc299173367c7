// Attention whose heads are gated: by the input, and each by a number of its own.
#pragma once

#include <vector>

#include <maskgrad/layers/multi_head_attention.hpp>

namespace maskgrad {

/// How many gates of the input a position has: none, one for each head, or one for each element of
/// each head.
enum class AttentionGates : std::uint8_t { kNone, kHeads, kElements };

/// Gates on whole heads, a learned number each: none, sigmoid(a), or 1 where a is above 0 and 0
/// elsewhere.
enum class HeadGates : std::uint8_t { kNone, kSoft, kHard };

struct GatedAttentionOptions {
  MultiHeadAttentionOptions attention = {};
  AttentionGates gates = AttentionGates::kHeads;
  /// What the bias of the gates of the input starts as.
  double bias = 0;
  HeadGates head_gates = HeadGates::kNone;
  /// What a starts as. At 2 a head starts 0.88 open.
  double head_start = 2;
};

/// y = concat_h(s_h sigmoid(x W_h + b_h) * head_h) o, where head_h is that of MultiHeadAttention
/// and s_h = sigmoid(a_h). The gates of the input are those of Qiu et al. 2025, "Gated attention
/// for large language models", and of Jumper et al. 2021, "Highly accurate protein structure
/// prediction with AlphaFold"; the gates of heads those of Voita et al. 2019, "Analyzing multi-head
/// self-attention", without noise.
///
/// Uses the mask of x and passes it on. x [B, S, D] -> [B, S, D]. Parameters: heads.q and so on, as
/// MultiHeadAttention has them; o [H d, D], as it is there, and o_bias [D]; gate [D, H] or
/// [D, H d], Glorot-uniform, and gate_bias, which starts as options.bias; head_gates [H], a.
///
/// A gate is a value and no mask, so that a head that closes can open again: in training a hard
/// gate of a head has the gradient of the soft one, see ops::straight_through(). In inference what
/// a head gives that a hard gate closes is not read. harden() leaves such heads out.
class GatedAttention : public Layer {
 public:
  /// `features` is D, `heads` is H. Throws Error for options that are not finite, without an output
  /// matrix, and as MultiHeadAttention.
  GatedAttention(std::int64_t features, std::int64_t heads,
                 const GatedAttentionOptions& options = {});

  /// s_h of each head, [H]; where it is hard, with the gradient of sigmoid(a_h). Throws Error
  /// without head gates.
  Variable head_gates() const;
  /// The sum of s_h, a number: times a price it is a term of the loss that closes heads. Throws
  /// Error without head gates.
  Variable open_heads() const;
  /// A GatedAttention of the heads with a_h above 0, without gates on heads: what this layer gives
  /// with hard head gates, up to rounding. Heads that shared keys have keys of their own then.
  /// Nothing without head gates. Throws Error when all heads are closed, when a gate is NaN or not
  /// on the CPU, and as Layer::harden().
  std::optional<Hardened> harden() override;

  /// 3 times the elements of all matrices for each position, and the pairs of MultiHeadAttention.
  std::optional<ops::Work> row_work() const override;

 protected:
  Variable forward(const Variable& x, Pass& pass) override;

 private:
  Variable gated(const Variable& x, const Variable& heads, const Pass& pass) const;
  Variable with_head_gates(const Variable& y, const Pass& pass) const;
  std::vector<std::int64_t> open() const;
  GatedAttentionOptions pruned_options() const;

  GatedAttentionOptions options_;
  std::int64_t features_, heads_;
  MultiHeadAttention& attention_;
  std::int64_t head_;
  Parameter *gate_ = nullptr, *gate_bias_ = nullptr, *head_gates_ = nullptr, *o_ = nullptr,
            *o_bias_ = nullptr;  // nullptr where there is none
};

}  // namespace maskgrad
