// Suggestions for mistyped names.
#pragma once

#include <span>
#include <string>

namespace maskgrad {

/// "; did you mean 'relu'?" for the known name with the smallest edit distance (Levenshtein) to
/// `name`. Where none is near, for a known name that begins with all of `name`, if that has four
/// letters or more. Else "".
std::string did_you_mean(const std::string& name, std::span<const std::string> known);

}  // namespace maskgrad
