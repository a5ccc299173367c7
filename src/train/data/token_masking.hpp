// Tokens hidden from a model that learns to tell what they were.
#pragma once

#include <span>
#include <vector>

#include <maskgrad/tensor/mask/sequence_mask.hpp>
#include <maskgrad/tensor/random.hpp>

namespace maskgrad {

/// A batch in which some tokens were chosen to be predicted.
struct MaskedTokens {
  Tensor tokens;        // [B, S]: what the model sees
  Tensor targets;       // [B, S]: the tokens as they were given, the same elements
  SequenceMask chosen;  // [B, S]: the positions to predict, changed or not
};

/// How many tokens to choose, and what replaces them. The default shares are those of BERT (Devlin
/// et al. 2019, section 3.1 and appendix A.1).
struct TokenMaskingOptions {
  std::int64_t mask_token = -1;  // has no default: an id of the vocabulary
  std::int64_t vocabulary = 0;   // has no default: ids are 0 .. vocabulary-1
  double share = 0.15;           // of the tokens that are not spared
  // The shares of the chosen tokens that are replaced. The other chosen tokens stay as they are.
  double to_mask_token = 0.8;
  double to_random_token = 0.1;
  std::vector<std::int64_t> special = {};  // "start", "separator" and the like
  std::int64_t pad = 0;                    // an id that no token has, such as -1, for none
  std::uint64_t seed = 0;
};

// RandomMask and SpanMask take tokens, int32 or int64 [B, S], and an id for each of the B samples
// that no other sample of the data has. Padding, special tokens and the mask token itself are
// spared: they are never chosen, and never given as random tokens. Random tokens are uniform over
// all other ids.
//
// A sample draws from Random(seed, stream_of("random_mask" or "span_mask"), step) with
// step = epoch 2^40 + sample id. It draws nothing for spared tokens. So the chosen positions and
// their new tokens depend on seed, epoch, sample id and the sample's tokens alone. They depend
// neither on the batch, its order or its padding, nor on machine or thread. Both classes may be
// called from several threads at once.
//
// Constructors throw Error for a share outside 0..1, for to_mask_token + to_random_token above 1,
// for a vocabulary outside 1..2^31-1, for a mask token outside the vocabulary or equal to `pad`,
// and where random tokens are wanted and all ids are spared. Calls throw Error for tokens of
// another dtype or rank, for another number of sample ids than B, for an epoch outside 0..2^24-1
// and for a sample id outside 0..2^40-1.

/// Chooses each token by itself with probability `share`. The number of chosen tokens varies about
/// its mean. What replaces a token is drawn for each chosen one.
class RandomMask {
 public:
  explicit RandomMask(TokenMaskingOptions options);
  /// BERT's shares: 15 %, of which 80 % become the mask token and 10 % a random one.
  static RandomMask bert(std::int64_t mask_token, std::int64_t vocabulary,
                         std::vector<std::int64_t> special = {}, std::uint64_t seed = 0);

  const TokenMaskingOptions& options() const { return options_; }
  MaskedTokens operator()(const Tensor& tokens, std::span<const std::int64_t> sample_ids,
                          std::int64_t epoch) const;

 private:
  TokenMaskingOptions options_;  // `special` sorted, and with the pad and the mask token
};

/// The lengths of spans, 1 .. max. Length l has a probability in proportion to p (1 - p)^(l - 1).
/// With the defaults the mean length is 3.8.
struct SpanLengths {
  double p = 0.2;
  std::int64_t max = 10;
};

/// Chooses spans (Joshi et al. 2020, "SpanBERT", section 3.1) until a sample's share of tokens is
/// reached. This is `share` times the number of tokens that are not spared. It is rounded up or
/// down at random, so that its mean is exact. A span starts at a token that is neither spared nor
/// chosen yet, each with the same probability. It goes on to the right for the length drawn. It
/// ends early before a spared or chosen token, at the end of the sequence, and where the share is
/// reached. All tokens of a span become the mask token, or all become random tokens, or all stay.
/// Random tokens are drawn for each position.
class SpanMask {
 public:
  /// Throws Error also for p outside 0.001..1 and max < 1.
  explicit SpanMask(TokenMaskingOptions options, SpanLengths lengths = {});

  const TokenMaskingOptions& options() const { return options_; }
  MaskedTokens operator()(const Tensor& tokens, std::span<const std::int64_t> sample_ids,
                          std::int64_t epoch) const;

 private:
  TokenMaskingOptions options_;  // as RandomMask's
  SpanLengths lengths_;
};

}  // namespace maskgrad
