#include <cstddef>

#include <maskgrad/train/formats/csv.hpp>

namespace maskgrad {

std::string csv_cell(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

std::vector<std::string> take_csv_record(std::string_view& text) {
  std::vector<std::string> cells(1);
  bool in_quotes = false;
  std::size_t at = 0;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    const bool is_doubled = in_quotes && c == '"' && text.substr(at, 2) == R"("")";
    if (is_doubled) {
      cells.back() += c;
      ++at;
    } else if (c == '"' && (in_quotes || cells.back().empty())) {
      in_quotes = !in_quotes;
    } else if (in_quotes || (c != ',' && c != '\n')) {
      cells.back() += c;
    } else if (c == ',') {
      cells.emplace_back();
    } else {
      ++at;
      break;
    }
  }
  text.remove_prefix(at);
  return cells;
}

}  // namespace maskgrad
