// Checks of a TOML text before the parser, which recurses, reads it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace maskgrad {

inline constexpr std::uint64_t kMostTomlBytes = 1 << 20;

/// Throws Error "[config] <source>: line 3: nested too deeply" for a text with more than 32 open
/// brackets and braces at once, or with more than 32 dots in one key: the parser calls itself for
/// each, and would run out of stack. Throws for texts in three quotes: no setting needs them, and
/// toml++ 3.3 misreads them in wrong places. Throws for a quote within a word, and for bytes
/// outside quotes and comments that are not ASCII: TOML has none there, and toml++ misreads some.
/// It does not check anything else of TOML.
void check_toml(std::string_view text, const std::string& source);

}  // namespace maskgrad
