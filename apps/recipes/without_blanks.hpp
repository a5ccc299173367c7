// Questions of arithmetic as people type them.
#pragma once

#include <cctype>
#include <string>
#include <string_view>

namespace maskgrad::apps {

/// "x=-12, y=24: y-x" -> "x=-12,y=24:y-x". A blank between two digits stays, as it parts two
/// numbers.
inline std::string without_blanks(std::string_view text) {
  const auto is_digit = [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; };
  std::string kept;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != ' ' && text[i] != '\t') {
      kept += text[i];
      continue;
    }
    const std::size_t next = text.find_first_not_of(" \t", i);
    const bool parts = !kept.empty() && is_digit(kept.back()) && next != std::string_view::npos &&
                       is_digit(text[next]);
    if (parts) kept += ' ';
  }
  return kept;
}

}  // namespace maskgrad::apps
