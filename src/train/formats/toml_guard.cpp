#include <algorithm>
#include <cstddef>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/train/formats/toml_guard.hpp>

namespace maskgrad {
namespace {

constexpr int kMostDepth = 32;
constexpr std::string_view kBeforeStrings = "\n=,.[{";
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

/// Where the string ends that begins at `begin` with one of the two quotes: behind its last quote,
/// or at the end of its line where it has none.
std::size_t end_of_string(std::string_view text, std::size_t begin) {
  const char quote = text[begin];
  for (std::size_t at = begin + 1; at < text.size() && text[at] != '\n'; ++at) {
    if (text[at] == quote) return at + 1;
    if (quote == '"' && text[at] == '\\' && text.substr(at + 1, 1) != "\n") ++at;
  }
  return std::min(text.find('\n', begin), text.size());
}

}  // namespace

void check_toml(std::string_view text, const std::string& source) {
  int depth = 0, dots = 0;
  char before = '\n';  // but for spaces
  std::size_t at = text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
  const auto fail_here = [&](const char* why) {
    fail("config", "{}: line {}: {}", source, 1 + std::ranges::count(text.substr(0, at), '\n'),
         why);
  };
  while (at < text.size()) {
    const char c = text[at];
    std::size_t next = at + 1;
    if (c == '"' || c == '\'') {
      if (kBeforeStrings.find(before) == std::string_view::npos) fail_here("a quote within a word");
      if (text.substr(at, 3) == std::string(3, c))
        fail_here("a text of several lines: use \"\\n\"");
      next = end_of_string(text, at);
    }
    if (c == '#') next = std::min(text.find('\n', at), text.size());
    if (c == '[' || c == '{') ++depth;
    if (c == ']' || c == '}') --depth;
    if (c == '.') ++dots;
    if (c == '\n' || c == '=' || c == ',' || c == '[' || c == '{') dots = 0;
    if (depth > kMostDepth || dots > kMostDepth) fail_here("nested too deeply");
    if (static_cast<unsigned char>(c) >= 0x80) fail_here("not ASCII outside quotes and comments");
    if (c != ' ' && c != '\t') before = c;
    at = next;
  }
}

}  // namespace maskgrad
