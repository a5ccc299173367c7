#include "cli/text.hpp"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include <maskgrad/train/formats/utf8.hpp>

#include "cli/program.hpp"

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

// Where the description of a word begins, behind two spaces or more; else where the line does.
std::size_t description_at(std::string_view line) {
  const std::size_t first = line.find_first_not_of(' ');
  if (first == std::string_view::npos) return 0;
  const std::size_t gap = line.find("  ", first);
  return gap == std::string_view::npos ? first : line.find_first_not_of(' ', gap);
}

std::string fit_line(std::string_view line, std::size_t columns) {
  const std::size_t at = description_at(line);
  const std::string program = program_word() + " ";
  const bool shows_command =
      line.find(": " + program) != std::string_view::npos || line.substr(at).starts_with(program);
  if (count_characters(line) <= columns || shows_command) return std::string(line);
  // What is left of a narrow terminal beside the options is no room for descriptions.
  constexpr std::size_t kLeast = 20;
  const std::size_t indent = at + kLeast > columns ? 2 : at;
  std::string text(line.substr(0, at));
  const std::vector<std::string> lines =
      wrapped(line.substr(at), columns > indent ? columns - indent : 1);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0 || indent < at) text += "\n" + std::string(indent, ' ');
    text += lines[i];
  }
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

std::string_view first_characters(std::string_view text, std::size_t count) {
  std::size_t at = 0;
  while (at < text.size() && (count > 0 || is_continuation(text[at]))) {
    if (!is_continuation(text[at])) --count;
    ++at;
  }
  return text.substr(0, at);
}

std::vector<std::string> wrapped(std::string_view text, std::size_t width) {
  std::vector<std::string> lines;
  do {
    std::size_t end = first_characters(text, std::max<std::size_t>(width, 1)).size();
    if (end < text.size() && text[end] != ' ') {
      const std::size_t space = text.rfind(' ', end);
      if (space != std::string_view::npos && space > 0) end = space;
    }
    const std::string_view line = text.substr(0, end);
    lines.emplace_back(line.substr(0, line.find_last_not_of(' ') + 1));
    text.remove_prefix(end);
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  } while (!text.empty());
  return lines;
}

std::string fit_page(std::string_view page, int columns) {
  if (columns <= 0) return std::string(page);
  std::string text;
  while (!page.empty()) {
    const std::string_view line = page.substr(0, page.find('\n'));
    text += fit_line(line, static_cast<std::size_t>(columns));
    page.remove_prefix(line.size());
    if (!page.empty()) {
      text += '\n';
      page.remove_prefix(1);
    }
  }
  return text;
}

}  // namespace maskgrad::apps
