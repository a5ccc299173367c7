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
/// or at the end of its line or of the text where it has none.
std::size_t end_of_string(std::string_view text, std::size_t begin) {
  const char quote = text[begin];
  const bool has_escapes = quote == '"';
  const std::string_view three = quote == '"' ? R"(""")" : "'''";
  const bool is_multi_line = text.substr(begin, 3) == three;
  for (std::size_t at = begin + (is_multi_line ? 3 : 1); at < text.size(); ++at) {
    if (has_escapes && text[at] == '\\') {
      ++at;
    } else if (is_multi_line && text.substr(at, 3) == three) {
      // Up to two quotes before the last three belong to the text.
      const std::size_t run = std::min(text.find_first_not_of(quote, at), text.size()) - at;
      return at + std::min<std::size_t>(run, 5);
    } else if (!is_multi_line && text[at] == quote) {
      return at + 1;
    } else if (!is_multi_line && text[at] == '\n') {
      return at;
    }
  }
  return text.size();
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
