#include "cli/table.hpp"

#include <algorithm>
#include <string_view>

#include "cli/text.hpp"

namespace maskgrad::apps {
namespace {

bool is_number(const std::string& cell) {
  return cell.empty() || cell == "nan" || cell == "inf" ||
         std::string_view("0123456789+-.").find(cell[0]) != std::string_view::npos;
}

struct Column {
  std::size_t width = 0;
  bool right = true;
};

std::vector<Column> measure(const std::vector<std::vector<std::string>>& rows) {
  std::vector<Column> columns(rows.front().size());
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (std::size_t c = 0; c < columns.size(); ++c) {
      columns[c].width = std::max(columns[c].width, count_characters(rows[r][c]));
      if (r > 0 && !is_number(rows[r][c])) columns[c].right = false;
    }
  }
  return columns;
}

std::string format_row(const std::vector<std::string>& cells, const std::vector<Column>& columns) {
  std::string line;
  for (std::size_t c = 0; c < columns.size(); ++c) {
    const std::string fill(columns[c].width - count_characters(cells[c]), ' ');
    line += columns[c].right ? fill + cells[c] : cells[c] + fill;
    line += "  ";
  }
  return line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
}

}  // namespace

std::string format_table(const std::vector<std::vector<std::string>>& rows) {
  if (rows.empty()) return "";
  const std::vector<Column> columns = measure(rows);
  std::vector<std::string> rule;
  for (const Column& column : columns) rule.emplace_back(column.width, '-');
  std::string text = format_row(rows.front(), columns) + format_row(rule, columns);
  for (std::size_t r = 1; r < rows.size(); ++r) text += format_row(rows[r], columns);
  return text;
}

std::string format_values(std::span<const std::pair<std::string, std::string>> values) {
  std::size_t width = 10;
  for (const auto& [name, value] : values) width = std::max(width, count_characters(name));
  std::string text;
  for (const auto& [name, value] : values) {
    text += name + std::string(width - count_characters(name) + 1, ' ') + value + "\n";
  }
  return text;
}

std::string with_commas(std::int64_t number) {
  const std::string digits = std::to_string(number);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0 && text != "-") text += ',';
    text += digits[i];
  }
  return text;
}

}  // namespace maskgrad::apps
