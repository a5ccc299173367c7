// Text that came from a file: is it UTF-8, and how to show it on one line.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace maskgrad {

/// The offset of the first byte that is not part of well-formed UTF-8 (RFC 3629: no overlong
/// forms, no surrogates, nothing above U+10FFFF); text.size() when all of it is.
std::size_t utf8_prefix(std::string_view text);

inline bool is_utf8(std::string_view text) { return utf8_prefix(text) == text.size(); }

/// `text` as a JSON string, quotes included: '"', '\\' and control characters escaped, all else as
/// it is.
std::string json_quote(std::string_view text);

/// json_quote of at most about 60 bytes of `text`, longer text ending in "...": for naming what a
/// file calls itself in a one-line message.
std::string quote(std::string_view text);

}  // namespace maskgrad
