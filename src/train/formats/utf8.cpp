#include <fmt/core.h>

#include <maskgrad/train/formats/utf8.hpp>

namespace maskgrad {
namespace {

unsigned byte_at(std::string_view text, std::size_t i) {
  return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
}

bool is_continuation(unsigned byte) { return (byte & 0xc0) == 0x80; }

/// Bytes of the well-formed character at `text`'s front; 0 where there is none.
std::size_t character_size(std::string_view text) {
  const unsigned first = byte_at(text, 0);
  const unsigned second = byte_at(text, 1);
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4 || !is_continuation(second)) return 0;
  if (first < 0xe0) return 2;
  if (!is_continuation(byte_at(text, 2))) return 0;
  if (first == 0xe0 && second < 0xa0) return 0;  // overlong
  if (first == 0xed && second > 0x9f) return 0;  // surrogate
  if (first < 0xf0) return 3;
  if (!is_continuation(byte_at(text, 3))) return 0;
  if (first == 0xf0 && second < 0x90) return 0;  // overlong
  if (first == 0xf4 && second > 0x8f) return 0;  // above U+10FFFF
  return 4;
}

/// The letter after the backslash in a short escape, 0 where there is none.
char short_escape(char c) {
  switch (c) {
    case '"':
      return '"';
    case '\\':
      return '\\';
    case '\b':
      return 'b';
    case '\f':
      return 'f';
    case '\n':
      return 'n';
    case '\r':
      return 'r';
    case '\t':
      return 't';
    default:
      return 0;
  }
}

}  // namespace

std::size_t utf8_prefix(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t size = character_size(text.substr(at));
    if (size == 0) break;
    at += size;
  }
  return at;
}

std::string json_quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (const char letter = short_escape(c)) {
      out += {'\\', letter};
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string quote(std::string_view text) {
  constexpr std::size_t kMost = 60;
  if (text.size() <= kMost) return json_quote(text);
  // Cut between characters: what utf8_prefix leaves over is the beginning of one.
  const std::string_view head = text.substr(0, kMost);
  return json_quote(head.substr(0, utf8_prefix(head))) + "...";
}

}  // namespace maskgrad
