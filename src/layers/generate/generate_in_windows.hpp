// Texts of any length from a causal language model that reads a limited number of tokens.
#pragma once

#include <maskgrad/layers/generate/generate.hpp>

namespace maskgrad {

/// What the model writes behind a prompt, for a model that reads at most `window` tokens at once.
/// When there are more, it goes on from the last window / 2 of them, and at least one. So it always
/// reads at least that many, and each token once or twice.
/// Up to there the tokens are those of generate(). In each further window they are drawn by another
/// seed, which Philox draws from options.seed. With or without a cache they are the same.
/// Throws Error for a window below 1, and as generate().
Tokens generate_in_windows(const LanguageModel& model, const Tokens& prompt, std::int64_t window,
                           const GenerateOptions& options = {});

}  // namespace maskgrad
