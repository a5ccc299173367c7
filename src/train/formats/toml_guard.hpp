// What a TOML file must not be, looked for before a parser that recurses reads it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace maskgrad {

inline constexpr std::uint64_t kMostTomlBytes = 1 << 20;

/// Throws Error "[config] <source>: line 3: nested too deeply" for a text with more than 32 open
/// brackets and braces at once, or with more than 32 dots in one key: a parser that calls itself
/// for each would run out of stack. Throws for what no setting needs and toml++ 3.3 misreads where
/// it does not belong: texts of several lines in three quotes. Throws for a quote within a word,
/// and for bytes outside quotes and comments that are not ASCII: TOML has none there, and toml++
/// misreads some. Says nothing else of whether the text is TOML.
void check_toml(std::string_view text, const std::string& source);

}  // namespace maskgrad
