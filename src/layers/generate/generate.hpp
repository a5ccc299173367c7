// Text from a causal language model.
//
//   const LanguageModel model = [&](const Variable& tokens, Pass& pass) {
//     return layers(tokens, pass);  // [B, S, V]
//   };
//   const std::vector<Tokens> prompts = {{4, 1, 7}, {2}};
//   const std::vector<Tokens> made = generate(model, prompts, {.tokens = 20, .stop = {0}});
#pragma once

#include <functional>
#include <span>
#include <vector>

#include <maskgrad/layers/generate/sample.hpp>
#include <maskgrad/layers/language_model.hpp>

namespace maskgrad {

struct GenerateOptions {
  std::int64_t tokens = 256;  // the most that are made for a prompt
  Tokens stop = {};           // a sequence ends behind the first of these, which it keeps
  /// Whether a sequence ends behind what was made of it so far.
  std::function<bool(std::span<const std::int64_t> made)> stop_when = {};
  SampleOptions sample = {.temperature = 0};  // 0 takes the most probable token
  std::uint64_t seed = 0;
  /// The number of the first prompt's sample. Token t of sample n is drawn by Philox(seed, n, t),
  /// so it does not depend on what else is generated.
  std::uint32_t first_sample = 0;
  /// Reads each token once and keeps what attention needs of it. Without it each token is made from
  /// the whole sequence. The result is the same.
  bool cache = true;
  /// Told of each token as it is made: the number of its prompt, and the token. When it returns
  /// false, nothing more is made.
  std::function<bool(std::size_t prompt, std::int64_t token)> on_token = {};
};

/// What the model writes behind each prompt. The prompts may have any lengths above 0. The same
/// prompt gives the same tokens alone and among others, with any number of threads: its logits have
/// the same bits.
/// Throws Error for an empty prompt, for tokens below 0, for samples beyond 2^32 - 1, for logits
/// that do not fit, and as sample_token() and the model. Throws Error before the first token is
/// made when the model has fewer positions (Pass::most_positions()) than the longest prompt and
/// options.tokens take, whether or not a stop would come before.
std::vector<Tokens> generate(const LanguageModel& model, std::span<const Tokens> prompts,
                             const GenerateOptions& options = {});

}  // namespace maskgrad
