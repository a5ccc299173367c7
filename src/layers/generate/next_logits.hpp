// The logits of what comes next, for sequences that grow. Internal to generation.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include <maskgrad/layers/generate/key_value_cache.hpp>
#include <maskgrad/layers/language_model.hpp>

namespace maskgrad {

/// Asks a model what follows each of some sequences, again and again:
///
///   NextLogits next("generate", model, prompts, 100, true);
///   std::vector<Tensor> logits = next(sequences);  // the prompts
///   // ... a token is added to each sequence ...
///   logits = next(sequences);
///
/// With a cache the model reads each token once.
class NextLogits {
 public:
  /// `name` names errors. `tokens`: the most that a sequence grows by. Throws Error for tokens
  /// below 0, for an empty prompt, and for positions beyond 64 bits. `model` must outlive this.
  NextLogits(const char* name, const LanguageModel& model, std::span<const Tokens> prompts,
             std::int64_t tokens, bool cache);

  /// The logits [V] behind each sequence, views into those of all. A sequence begins as it was at
  /// the last call, and has at least one token more. Throws Error for logits that do not fit, and
  /// when the model has fewer positions than the longest prompt with all tokens but the last.
  std::vector<Tensor> operator()(std::span<const Tokens* const> sequences);
  /// Sequence b of the next call goes on from sequence from[b] of the last.
  void select(std::span<const std::int64_t> from);

 private:
  void check_positions(const Pass& pass) const;

  const char* name_;
  const LanguageModel& model_;
  std::int64_t longest_, tokens_;
  std::optional<KeyValueCache> cache_;
};

}  // namespace maskgrad
