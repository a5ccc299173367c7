// Suggestions for mistyped names.
#pragma once

#include <span>
#include <string>

namespace maskgrad {

/// "; did you mean 'relu'?" for the known name with the smallest edit distance (Levenshtein) to
/// `name`, or "" when none is near.
std::string did_you_mean(const std::string& name, std::span<const std::string> known);

}  // namespace maskgrad
