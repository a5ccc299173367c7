// A model that answers, and one that says which tokens it needs for that.
#pragma once

#include <memory>
#include <vector>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/embed.hpp>
#include <maskgrad/layers/layer_norm.hpp>
#include <maskgrad/layers/learned_mask/mask_network.hpp>
#include <maskgrad/layers/learned_mask/sampler.hpp>
#include <maskgrad/layers/positions.hpp>
#include <maskgrad/layers/transformer.hpp>

namespace maskgrad::apps {

/// Sizes of a Predictor or a Selector.
struct SelectiveSizes {
  std::int64_t length = 0;  // the most tokens
  std::int64_t features = 48, layers = 2, heads = 4;
};

/// Tokens -> logits of what a problem says [B, 7, V], of the steps to its answer [B, 5, V], and of
/// the answer [B, 3, V], V = 20; see Distractors. Encoder blocks read at the tokens that ask. The
/// steps are computed from the probabilities of what was read, and the answer from those of the
/// steps. So each is a small function of the one before, and leans on nothing else.
class Predictor : public Module {
 public:
  explicit Predictor(const SelectiveSizes& sizes);

  struct Answer {
    Variable reading, steps, answer;
  };
  /// tokens carry the mask of those that count; all others are skipped. Where `keep` [B, S] has a
  /// value, a token counts as far as it says.
  Answer operator()(const Variable& tokens, const Variable& keep, Pass& pass);
  /// The steps' logits from the probabilities of what was read [B, 7, V].
  Variable steps_of(const Variable& reading, Pass& pass) const;
  /// The answer's logits from the probabilities of the steps [B, 5, V].
  Variable answer_of(const Variable& steps, Pass& pass) const;

 private:
  struct Block {
    LayerNorm* attention_norm;
    MultiHeadAttention* attention;
    LayerNorm* feed_forward_norm;
    FeedForward* feed_forward;
  };
  Variable through(const Block& block, const Variable& x, const Variable& keep, Pass& pass) const;
  Variable encode(const Variable& x, const Variable& keep, Pass& pass) const;
  Variable encode_on_row(const Variable& x, const Variable& keep, Pass& pass) const;

  Embed& embed_;
  LearnedPositions& positions_;
  std::vector<Block> blocks_;
  LayerNorm& norm_;
  Dense &reading_, &steps_hidden_, &steps_, &answer_hidden_, &answer_;
};

/// Probabilities of tokens that are known: 1 for each token of ids [B, N], 0 for all others.
/// [B, N, V].
Variable certain(const Tensor& ids, DType dtype, Device device = {});

/// What a Selector reads of a token: all, or only its class (name, sign or operator, digit, each
/// separator). One that reads no more cannot tell the answer by what it keeps.
enum class Scorer : std::uint8_t { kContent, kClass };

/// Tokens -> a logit for each [B, S], as Sampler takes it. It attends by how far tokens stand from
/// each other, not by their places: the same wherever a problem begins.
class Selector : public Module {
 public:
  Selector(const SelectiveSizes& sizes, Scorer scorer, const MaskNetworkOptions& options);
  Variable operator()(const Variable& tokens, Pass& pass);

 private:
  Scorer scorer_;
  Embed& embed_;
  Encoder& encoder_;
  MaskNetwork& network_;
};

/// Which tokens ask for the answer, bool [B, S]. They are always kept.
Tensor asking_tokens(const Tensor& tokens);

/// The positions of a mask, and those that ask for the answer.
SequenceMask with_asking(const SequenceMask& mask, const Tensor& tokens);

}  // namespace maskgrad::apps
