// Transformer blocks, and stacks of them.
#pragma once

#include <optional>
#include <vector>

#include <maskgrad/layers/dropout.hpp>
#include <maskgrad/layers/feed_forward.hpp>
#include <maskgrad/layers/multi_head_attention.hpp>

namespace maskgrad {

/// LayerNorm, or RMSNorm.
enum class NormKind : std::uint8_t { kLayer, kRms };
/// "layer", "rms".
std::string_view to_string(NormKind kind);
/// The inverse. Throws Error for any other text.
NormKind norm_kind_from_string(std::string_view name);

/// What the blocks of a transformer are made of. The defaults are those of GPT-2.
struct TransformerOptions {
  std::int64_t features = 0;   // D
  std::int64_t heads = 1;      // H, which divides D
  std::int64_t key_heads = 0;  // K, which divides H; 0: H
  std::int64_t hidden = 0;     // F; 0: 4 D
  std::int64_t layers = 1;     // L, of a stack
  NormKind norm = NormKind::kLayer;
  /// x + f(norm(x)), or norm(x + f(x)) where it is false (Xiong et al. 2020, "On layer
  /// normalization in the transformer architecture").
  bool norm_first = true;
  Activation activation = Activation::kGelu;
  bool gated = false;  // see FeedForwardOptions
  bool bias = true;    // of all matrices
  /// See MultiHeadAttentionOptions. Attention to another sequence is never rotated.
  std::optional<ops::RotaryOptions> rotary = {};
  double dropout = 0;  // of what each branch adds to x
  /// Scales the starting values of each branch's last matrix by 1 / sqrt(branches of the stack).
  bool scaled_residual = false;
  /// A tape keeps of each block of a stack what goes into it, and no more. In the backward pass the
  /// block runs again, see recompute(). So the memory of activations is that of L values and one
  /// block, for one more forward pass. No bit changes.
  bool recompute = false;
};

/// What the blocks below share: attention within the sequence, attention to another if there is
/// one, and FeedForward. Each is a branch f whose result is added to x, with a norm before or
/// behind it. Dropout is applied to f(x).
class TransformerBlock : public Layer {
 public:
  /// The sum of the work of its layers. Nothing where it attends to another sequence.
  std::optional<ops::Work> row_work() const override;

 protected:
  TransformerBlock(std::string kind, const TransformerOptions& options, AttentionKind attention,
                   bool has_memory);
  Variable forward(const Variable& x, Pass& pass) override;
  Variable run(const Variable& x, const Variable* memory, Pass& pass);

 private:
  struct Branch {
    Layer* norm;
    Dropout* dropout;
  };
  Branch branch(const std::string& name, const TransformerOptions& options);
  template <class F>
  Variable add_branch(const Branch& branch, const Variable& x, Pass& pass, F f) const;

  bool norm_first_;
  MultiHeadAttention *attention_, *memory_attention_ = nullptr;
  FeedForward* feed_forward_;
  Branch of_attention_, of_memory_ = {}, of_feed_forward_;
};

/// A block whose positions attend to all positions of their sequence that exist.
/// x [B, S, D] -> [B, S, D]. Keeps the mask. Vaswani et al. 2017, section 3.1.
class EncoderBlock : public TransformerBlock {
 public:
  explicit EncoderBlock(const TransformerOptions& options)
      : TransformerBlock("EncoderBlock", options, AttentionKind::kBidirectional, false) {}
};

/// A block whose positions attend to those of their sequence that exist and are not behind them.
/// x [B, S, D] -> [B, S, D]. Keeps the mask. With Memory::kAttends its positions also attend to
/// another sequence, and it is called by decode().
class DecoderBlock : public TransformerBlock {
 public:
  enum class Memory : std::uint8_t { kNone, kAttends };
  explicit DecoderBlock(const TransformerOptions& options, Memory memory = Memory::kNone)
      : TransformerBlock("DecoderBlock", options, AttentionKind::kCausal,
                         memory == Memory::kAttends) {}

  /// The output for x [B, S, D] beside memory [B, T, D], with the mask of x. Throws Error where the
  /// block has no attention to another sequence, and on a packed row.
  Variable decode(const Variable& x, const Variable& memory, Pass& pass);
};

/// What the stacks below share: blocks one after another, and a last norm behind them where the
/// norm comes first in a block.
class TransformerStack : public Layer {
 public:
  std::optional<ops::Work> row_work() const override;

 protected:
  TransformerStack(std::string kind, const TransformerOptions& options);
  /// Adds a block as the next one, which gets the name "block0", "block1", ...
  template <class Block>
  Block* add(std::unique_ptr<Block> block) {
    Block& added = submodule(fmt::format("block{}", blocks_.size()), std::move(block));
    blocks_.push_back(&added);
    return &added;
  }
  void add_last_norm(const TransformerOptions& options);
  Variable forward(const Variable& x, Pass& pass) override;
  /// run(x, pass), recomputed where the options say so. `run` is a block.
  template <class Run, class... More>
  Variable run_block(Run run, Pass& pass, const Variable& x, const More&... more) const;
  Variable last_norm(const Variable& x, Pass& pass) const;

 private:
  std::vector<TransformerBlock*> blocks_;
  bool recompute_;
  Layer* norm_ = nullptr;  // none where the norm comes last in a block
};

/// options.layers EncoderBlocks, and a last norm behind them where the norm comes first in a block.
/// x [B, S, D] -> [B, S, D]. Keeps the mask.
class Encoder : public TransformerStack {
 public:
  explicit Encoder(const TransformerOptions& options);
};

/// options.layers DecoderBlocks, and a last norm behind them where the norm comes first in a block.
/// x [B, S, D] -> [B, S, D]. Keeps the mask. Without memory it is a decoder alone, as in GPT. With
/// Memory::kAttends it reads another sequence, such as an encoder's output, and is called by
/// decode().
class Decoder : public TransformerStack {
 public:
  explicit Decoder(const TransformerOptions& options,
                   DecoderBlock::Memory memory = DecoderBlock::Memory::kNone);
  /// As DecoderBlock::decode().
  Variable decode(const Variable& x, const Variable& memory, Pass& pass);

 private:
  std::vector<DecoderBlock*> decoder_blocks_;  // the stack's blocks, which decode() calls
};

}  // namespace maskgrad
