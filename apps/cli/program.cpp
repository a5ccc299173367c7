#include "cli/program.hpp"

#include <fmt/format.h>

#include "cli/text.hpp"

namespace maskgrad::apps {
namespace {

constexpr std::string_view kName = "maskgrad";

std::string& kept_word() {
  static std::string word(kName);
  return word;
}

}  // namespace

void set_program(const char* called) {
  const bool is_known = called != nullptr && *called != '\0';
  kept_word() = is_known ? one_line(shell_word(called)) : std::string(kName);
}

const std::string& program_word() { return kept_word(); }

std::string examples(std::initializer_list<std::string_view> commands) {
  std::string text;
  for (const std::string_view command : commands) {
    text +=
        fmt::format("{}{} {}", text.empty() ? "Example: " : "\n         ", program_word(), command);
  }
  return text;
}

}  // namespace maskgrad::apps
