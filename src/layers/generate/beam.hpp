// The most probable texts of a causal language model, by beam search.
#pragma once

#include <span>
#include <vector>

#include <maskgrad/layers/language_model.hpp>

namespace maskgrad {

struct BeamOptions {
  std::int64_t beams = 4;     // W, the most sequences that are looked at side by side
  std::int64_t tokens = 256;  // the most that are made for a prompt
  Tokens stop = {};           // a sequence ends behind the first of these, which it keeps
  /// alpha. With 0 the score of a sequence is its log probability. The larger it is, the better
  /// are long sequences.
  double length_penalty = 0;
  /// As in GenerateOptions. The result is the same.
  bool cache = true;
};

/// A sequence behind a prompt. Its n tokens have
///   log_probability = ln p(t_1 | prompt) + ... + ln p(t_n | prompt, t_1 .. t_n-1),
///   score = log_probability / ((5 + n) / 6)^alpha (Wu et al. 2016, equation 14, without coverage).
/// Both are computed in double, from the model's logits.
struct Hypothesis {
  Tokens tokens;
  double log_probability, score;
};

/// For each prompt up to W sequences, those with the best scores first.
///
/// Each step takes the W most probable of all sequences that are one token longer than those of the
/// step before. One that ends is kept, and the search goes on with one beam less (Sutskever et al.
/// 2014, section 3.2). It is over when all have ended or have options.tokens tokens. So one beam
/// gives what generate() gives at temperature 0. As many beams as there are sequences give all of
/// them, the best one first.
///
/// Of equally probable sequences the one with the better beginning comes first, then the one with
/// the smaller last token; of equal scores, the one that ended first. Tokens with logit -inf never
/// come, so there may be fewer than W sequences. The same prompt gives the same bits alone and
/// among others, with a cache and without, with any number of threads.
///
/// Throws Error for beams below 1, for tokens below 0, for a length_penalty that is below 0 or not
/// finite, for an empty prompt, for logits that do not fit, that are NaN or +inf, or all -inf, for
/// too few positions as generate(), and as the model.
std::vector<std::vector<Hypothesis>> beam_search(const LanguageModel& model,
                                                 std::span<const Tokens> prompts,
                                                 const BeamOptions& options = {});

}  // namespace maskgrad
