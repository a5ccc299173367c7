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
  SequenceMask chosen;  // [B, S]: the places to predict, whatever became of their tokens
};

/// The shares are those of BERT (Devlin et al. 2019, section 3.1 and appendix A.1).
struct TokenMaskingOptions {
  std::int64_t mask_token = -1;  // has no default: an id of the vocabulary
  std::int64_t vocabulary = 0;   // has no default: ids are 0 .. vocabulary-1
  double share = 0.15;           // of the tokens that are not spared
  // What becomes of the chosen ones; the rest of them stay what they are.
  double to_mask_token = 0.8;
  double to_random_token = 0.1;
  std::vector<std::int64_t> special = {};  // "start", "separator" and the like
  std::int64_t pad = 0;                    // an id that no token has, such as -1, for none
  std::uint64_t seed = 0;
};

// Both kinds take tokens int32 or int64 [B, S], and for each of the B samples a number that is its
// own in the whole data. Padding, special tokens and the mask token itself are spared: never
// chosen, never given as a random token. Random tokens are uniform over all others.
//
// A sample draws from Random(seed, stream_of("random_mask" or "span_mask"), step) with
// step = epoch 2^40 + sample id, and for spared tokens draws nothing. So what is chosen, and what
// becomes of it, depends on seed, epoch, sample id and the sample's tokens alone: neither on the
// batch, its order or its padding, nor on machine or thread. Both kinds are values that can be
// called from several threads.
//
// Constructors throw Error for a share outside 0..1, two shares of fates that add up to more than
// 1, a vocabulary outside 1..2^31-1, a mask token outside of it or equal to `pad`, and random
// tokens wanted when all are spared. Calls throw Error for other tokens, another number of sample
// ids than B, an epoch outside 0..2^24-1 and a sample id outside 0..2^40-1.

/// Chooses each token by itself with probability `share`, so that the number of chosen ones varies
/// about its mean; each meets a fate of its own.
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

/// Lengths 1 .. max of spans, l with probability in proportion to p (1 - p)^(l - 1). For the
/// defaults their mean is 3.8.
struct SpanLengths {
  double p = 0.2;
  std::int64_t max = 10;
};

/// Chooses spans (Joshi et al. 2020, "SpanBERT", section 3.1), until a sample's share of tokens is
/// reached: share times the tokens that are not spared, rounded at random to one of its two
/// neighbours so that its mean is exact. A span starts at any token not chosen yet, each as likely
/// as the others, and goes on to the right for the length drawn; it ends early before a spared or
/// chosen token, at the end of the sequence, and where the share is reached. Its tokens meet one
/// fate together; random ones are drawn for each of them.
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
