#include "cli/program.hpp"

#include "cli/text.hpp"

namespace maskgrad::apps {
namespace {

constexpr std::string_view kName = "maskgrad";

std::string& kept_word() {
  static std::string word(kName);
  return word;
}

// Where the command of an example begins in a line of help; npos: nowhere. Further examples stand
// below the first one.
std::size_t command_in(std::string_view line) {
  for (const std::string_view before : {"Example: ", "         ", "Start with: "}) {
    const bool is_there = line.starts_with(before) && line.substr(before.size()).starts_with(kName);
    if (is_there && line.substr(before.size() + kName.size()).starts_with(' ')) {
      return before.size();
    }
  }
  return std::string_view::npos;
}

}  // namespace

void set_program(const char* called) {
  const bool is_known = called != nullptr && *called != '\0';
  kept_word() = is_known ? one_line(shell_word(called)) : std::string(kName);
}

const std::string& program_word() { return kept_word(); }

std::string with_program(std::string_view page) {
  std::string text;
  while (!page.empty()) {
    const std::size_t end = page.find('\n');
    std::string line(page.substr(0, end == std::string_view::npos ? end : end + 1));
    page.remove_prefix(line.size());
    const std::size_t at = command_in(line);
    if (at != std::string::npos) line.replace(at, kName.size(), program_word());
    text += line;
  }
  return text;
}

}  // namespace maskgrad::apps
