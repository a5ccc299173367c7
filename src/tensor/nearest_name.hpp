// Suggestions for mistyped names.
#pragma once

#include <span>
#include <string>

namespace maskgrad {

/// The known name that the fewest changes make of `name`: a letter more, less or other, or two
/// neighbours swapped. At most a third of its letters may change, or one of a short name. Where
/// none is near, a known name that begins with all of `name`, if that has four letters or more.
/// Else "".
std::string nearest_name(const std::string& name, std::span<const std::string> known);

/// "; did you mean 'relu'?" for nearest_name(); "" where there is none.
std::string did_you_mean(const std::string& name, std::span<const std::string> known);

}  // namespace maskgrad
