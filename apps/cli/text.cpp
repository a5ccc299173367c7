#include "cli/text.hpp"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include <maskgrad/train/formats/utf8.hpp>

namespace maskgrad::apps {
namespace {

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// How many bytes at the front are a control character: C0 and DEL have one, C1 (U+0080 to U+009F)
// two.
std::size_t control_size(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x20 || first == 0x7f) return 1;
  const bool is_c1 = first == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0;
  return is_c1 ? 2 : 0;
}

std::string escape(std::string_view bytes) {
  if (bytes == "\n") return "\\n";
  if (bytes == "\t") return "\\t";
  if (bytes == "\r") return "\\r";
  std::string text;
  for (const char c : bytes) text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  return text;
}

}  // namespace

std::string one_line(std::string_view text) {
  std::string line;
  std::size_t sound = utf8_prefix(text);
  for (std::size_t at = 0; at < text.size();) {
    if (at == sound) {
      line += escape(text.substr(at, 1));
      ++at;
      sound = at + utf8_prefix(text.substr(at));
    } else if (const std::size_t control = control_size(text.substr(at))) {
      line += escape(text.substr(at, control));
      at += control;
    } else {
      line += text[at++];
    }
  }
  return line;
}

std::string plain_or_quoted(std::string_view name) {
  constexpr std::size_t kMost = 60;
  const bool is_plain = !name.empty() && name.size() <= kMost &&
                        name.find_first_of(" \"'\\") == std::string_view::npos &&
                        one_line(name) == name;
  return is_plain ? std::string(name) : one_line(quote(name));
}

std::string shell_word(std::string_view text) {
  const auto is_plain = [](unsigned char c) {
    return c >= 0x80 || std::isalnum(c) != 0 ||
           std::string_view("/._-+,:=@%").find(static_cast<char>(c)) != std::string_view::npos;
  };
  if (!text.empty() && std::all_of(text.begin(), text.end(), is_plain)) return std::string(text);
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return word + "'";
}

std::size_t count_characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return !is_continuation(c); }));
}

}  // namespace maskgrad::apps
