#include "cli/table.hpp"

#include <algorithm>

#include "cli/text.hpp"

namespace maskgrad::apps {
namespace {

using Row = std::vector<std::string>;

constexpr std::string_view kGap = "  ";

// "12,345", "-1.5", "below 0.1 %", "20..40", "8.1 GB/s", or nothing at all.
bool is_number(const std::string& cell) {
  if (cell.ends_with(" %")) return true;
  if (std::ranges::count(cell, ' ') > 1) return false;
  return cell.empty() || cell == "nan" || cell == "inf" ||
         std::string_view("0123456789+-.").find(cell[0]) != std::string_view::npos;
}

struct Column {
  std::size_t width = 0;
  std::size_t least = 0;  // the longest word
  bool right = true;
};

std::size_t longest_word(std::string_view text) {
  std::size_t longest = 0;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    longest = std::max(longest, count_characters(word));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
  }
  return longest;
}

std::vector<Column> measure(const std::vector<Row>& rows) {
  std::vector<Column> columns(rows.front().size());
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (std::size_t c = 0; c < columns.size(); ++c) {
      columns[c].width = std::max(columns[c].width, count_characters(rows[r][c]));
      columns[c].least = std::max(columns[c].least, longest_word(rows[r][c]));
      if (r > 0 && !is_number(rows[r][c])) columns[c].right = false;
    }
  }
  return columns;
}

std::size_t total_width(const std::vector<Column>& columns) {
  std::size_t width = kGap.size() * (columns.size() - 1);
  for (const Column& column : columns) width += column.width;
  return width;
}

// How many lines each cell of a column takes at this width.
std::vector<std::size_t> heights_of(const std::vector<Row>& rows, std::size_t column,
                                    std::size_t width) {
  std::vector<std::size_t> heights;
  for (const Row& row : rows) {
    const std::string& cell = row[column];
    heights.push_back(count_characters(cell) <= width ? 1 : wrapped(cell, width).size());
  }
  return heights;
}

// How many lines the table takes where `column` has these heights.
std::size_t height_with(std::vector<std::vector<std::size_t>> heights, std::size_t column,
                        const std::vector<std::size_t>& changed) {
  heights[column] = changed;
  std::size_t height = 0;
  for (std::size_t r = 0; r < changed.size(); ++r) {
    std::size_t tallest = 1;
    for (const auto& of_column : heights) tallest = std::max(tallest, of_column[r]);
    height += tallest;
  }
  return height;
}

// Takes from the columns one character after the other, where that adds the fewest lines, and of
// these from the widest. False where all of them cannot give enough.
bool shrink(std::vector<Column>& columns, const std::vector<Row>& rows, std::size_t most) {
  std::vector<std::vector<std::size_t>> heights(columns.size(),
                                                std::vector<std::size_t>(rows.size(), 1));
  for (std::size_t width = total_width(columns); width > most; --width) {
    std::size_t best = columns.size(), least = 0;
    std::vector<std::size_t> best_heights;
    for (std::size_t c = 0; c < columns.size(); ++c) {
      if (columns[c].width == columns[c].least) continue;
      const auto narrower = heights_of(rows, c, columns[c].width - 1);
      const std::size_t height = height_with(heights, c, narrower);
      const bool is_better = best == columns.size() || height < least ||
                             (height == least && columns[c].width > columns[best].width);
      if (!is_better) continue;
      best = c;
      least = height;
      best_heights = narrower;
    }
    if (best == columns.size()) return false;
    --columns[best].width;
    heights[best] = best_heights;
  }
  return true;
}

// One line of cells, each of which fits its column.
std::string format_line(const Row& cells, const std::vector<Column>& columns) {
  std::string line;
  for (std::size_t c = 0; c < columns.size(); ++c) {
    const std::string fill(columns[c].width - count_characters(cells[c]), ' ');
    line += columns[c].right ? fill + cells[c] : cells[c] + fill;
    line += kGap;
  }
  return line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
}

std::string format_row(const Row& cells, const std::vector<Column>& columns) {
  std::vector<std::vector<std::string>> lines;
  std::size_t height = 0;
  for (std::size_t c = 0; c < columns.size(); ++c) {
    lines.push_back(wrapped(cells[c], columns[c].width));
    height = std::max(height, lines.back().size());
  }
  std::string text;
  for (std::size_t at = 0; at < height; ++at) {
    Row line;
    for (const auto& cell : lines) line.push_back(at < cell.size() ? cell[at] : "");
    text += format_line(line, columns);
  }
  return text;
}

// "inputs: input, mask; arguments: axis=-1", in lines that break behind a cell where they can.
std::vector<std::string> cells_in_lines(const Row& row, const Row& heading, std::size_t width) {
  std::vector<std::string> lines;
  for (std::size_t c = 1; c < row.size(); ++c) {
    if (row[c].empty()) continue;
    const std::string cell = heading[c] + ": " + row[c];
    if (!lines.empty()) lines.back() += ";";
    if (lines.empty() ||
        count_characters(lines.back()) + count_characters(cell) + std::size_t{2} > width) {
      const std::vector<std::string> more = wrapped(cell, width - 1);
      lines.insert(lines.end(), more.begin(), more.end());
    } else {
      lines.back() += " " + cell;
    }
  }
  return lines;
}

// A paragraph for each row: "masked_mean\n  inputs: input, mask; arguments: axis=-1\n"
std::string format_list(const std::vector<Row>& rows, std::size_t width) {
  const std::string indent = "  ";
  const std::size_t room = std::max(width, indent.size() + 2) - indent.size();
  std::string text;
  for (std::size_t r = 1; r < rows.size(); ++r) {
    text += rows[r].front() + "\n";
    for (const std::string& line : cells_in_lines(rows[r], rows.front(), room)) {
      text += indent + line + "\n";
    }
  }
  return text;
}

void remove_column(std::vector<Row>& rows, std::string_view heading) {
  const auto at = std::ranges::find(rows.front(), heading) - rows.front().begin();
  for (Row& row : rows) row.erase(row.begin() + at);
}

}  // namespace

std::string format_table(const std::vector<Row>& rows, int columns) {
  if (rows.empty()) return "";
  std::vector<Column> widths = measure(rows);
  const auto most = static_cast<std::size_t>(std::max(columns, 0));
  if (most > 0 && !shrink(widths, rows, most)) return format_list(rows, most);
  Row rule;
  for (const Column& column : widths) rule.emplace_back(column.width, '-');
  std::string text = format_row(rows.front(), widths) + format_row(rule, widths);
  for (std::size_t r = 1; r < rows.size(); ++r) text += format_row(rows[r], widths);
  return text;
}

std::string format_table_without(std::span<const std::string_view> spare,
                                 const std::vector<Row>& rows, int columns) {
  std::vector<Row> kept = rows;
  std::string out;
  const auto fits = [&] {
    return columns <= 0 || total_width(measure(kept)) <= static_cast<std::size_t>(columns);
  };
  for (const std::string_view heading : spare) {
    if (fits()) break;
    remove_column(kept, heading);
    out += (out.empty() ? "" : ", ") + std::string(heading);
  }
  if (out.empty() || !fits()) return format_table(rows, columns);
  return format_table(kept, columns) + "left out, to fit: " + out + "\n";
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

}  // namespace maskgrad::apps
