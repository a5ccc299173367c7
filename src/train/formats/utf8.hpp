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

/// How many bytes at the end of `text` may be the beginning of one more well-formed character: 0 to
/// 3. For text that comes in pieces.
std::size_t unfinished_character(std::string_view text);

/// Any bytes as UTF-8, for formats that hold nothing else (TOML, JSON): a path may be no text. A
/// byte that is not part of a well-formed character becomes the character U+EF00 + byte, a private
/// one (the convention of MirBSD's OPTU-8); so do the bytes of a character that is one of these
/// already. All other text stays as it is.
std::string utf8_from_bytes(std::string_view bytes);
/// The inverse: bytes_from_utf8(utf8_from_bytes(b)) == b for all b.
std::string bytes_from_utf8(std::string_view text);

/// `text` as a JSON string, quotes included: '"', '\\' and control characters escaped, all else as
/// it is.
std::string json_quote(std::string_view text);

/// Any bytes as a TOML string on one line: as 'literal' where that shows them, else as "basic" with
/// escapes. The string holds utf8_from_bytes(bytes), with what stands for a byte as \uef80 to
/// \uefff.
std::string toml_quote(std::string_view bytes);

/// json_quote of at most about 60 bytes of `text`, longer text ending in "...": for naming what a
/// file calls itself in a one-line message.
std::string quote(std::string_view text);

}  // namespace maskgrad
