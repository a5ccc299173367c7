// A model that tells of each token what comes next.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <maskgrad/layers/pass.hpp>

namespace maskgrad {

/// A text as a model sees it.
using Tokens = std::vector<std::int64_t>;

/// The logits of the next token, [B, S, V] for int64 tokens [B, S], whose mask says which of them
/// exist. The model gives `pass` to its layers, and their attention is causal. Nobody reads its
/// logits at tokens that do not exist.
using LanguageModel = std::function<Variable(const Variable& tokens, Pass& pass)>;

}  // namespace maskgrad
