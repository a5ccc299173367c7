#include <algorithm>

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

constexpr std::size_t kStandInSize = 3;

/// Whether `text` begins with one of the characters U+EF80 to U+EFFF, which stand for bytes.
bool is_stand_in(std::string_view text) {
  return byte_at(text, 0) == 0xee && (byte_at(text, 1) & 0xfe) == 0xbe &&
         is_continuation(byte_at(text, 2));
}

unsigned byte_of_stand_in(std::string_view text) {
  return (byte_at(text, 1) << 6 | (byte_at(text, 2) & 0x3f)) & 0xff;
}

std::string stand_in(char byte) {
  const auto value = static_cast<unsigned char>(byte);
  return {'\xee', static_cast<char>(0xbe | (value >> 6 & 1)),
          static_cast<char>(0x80 | (value & 0x3f))};
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

std::size_t unfinished_character(std::string_view text) {
  // The smallest and the largest bytes that go on with a character: if any complete it, these do.
  constexpr std::string_view kRests[] = {"\x80\x80\x80", "\xbf\xbf\xbf"};
  for (std::size_t held = std::min<std::size_t>(3, text.size()); held > 0; --held) {
    const std::string end(text.substr(text.size() - held));
    for (const std::string_view rest : kRests) {
      const std::size_t size = character_size(end + std::string(rest));
      if (size > held) return held;
    }
  }
  return 0;
}

std::string utf8_from_bytes(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    const std::size_t size = is_stand_in(bytes) ? 0 : character_size(bytes);
    if (size == 0)
      text += stand_in(bytes[0]);
    else
      text += bytes.substr(0, size);
    bytes.remove_prefix(std::max<std::size_t>(size, 1));
  }
  return text;
}

std::string bytes_from_utf8(std::string_view text) {
  std::string bytes;
  while (!text.empty()) {
    const bool is_byte = is_stand_in(text);
    if (is_byte)
      bytes += static_cast<char>(byte_of_stand_in(text));
    else
      bytes += text[0];
    text.remove_prefix(is_byte ? kStandInSize : 1);
  }
  return bytes;
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

std::string toml_quote(std::string_view bytes) {
  const std::string text = utf8_from_bytes(bytes);
  std::string escaped;
  bool is_plain = true;
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view character = rest.substr(0, character_size(rest));
    const unsigned first = byte_at(character, 0), second = byte_at(character, 1);
    const char letter = short_escape(character[0]);
    const bool is_c1 = first == 0xc2 && second < 0xa0;
    is_plain = is_plain && first >= 0x20 && first != 0x7f && first != '\'' && !is_c1 &&
               !is_stand_in(character);
    if (letter != 0)
      escaped += {'\\', letter};
    else if (first < 0x20 || first == 0x7f || is_c1)
      escaped += fmt::format("\\u{:04x}", is_c1 ? second : first);
    else if (is_stand_in(character))
      escaped += fmt::format("\\uef{:02x}", byte_of_stand_in(character));
    else
      escaped += character;
    rest.remove_prefix(character.size());
  }
  return is_plain ? fmt::format("'{}'", text) : fmt::format("\"{}\"", escaped);
}

std::string quote(std::string_view text) {
  constexpr std::size_t kMost = 60;
  if (text.size() <= kMost) return json_quote(text);
  // Cut between characters: what utf8_prefix leaves over is the beginning of one.
  const std::string_view head = text.substr(0, kMost);
  return json_quote(head.substr(0, utf8_prefix(head))) + "...";
}

}  // namespace maskgrad
