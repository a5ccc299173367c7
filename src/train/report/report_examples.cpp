#include <algorithm>
#include <map>

#include <fmt/format.h>

#include <maskgrad/train/report/report_columns.hpp>

namespace maskgrad {
namespace {

constexpr std::size_t kMostAnswers = 3;

bool is_right(const ReportExample& example) {
  return !example.answers.empty() && example.answers.front().text == example.right;
}

/// "✓ 3 (0.62), - (0.11)": the mark where the first of them is right.
HtmlCell cell_of(const ReportExample& example) {
  if (example.answers.empty()) return "no answer";
  const bool marks = !example.right.empty() && is_right(example);
  std::string text = marks ? "✓ " : "";
  for (std::size_t i = 0; i < std::min(kMostAnswers, example.answers.size()); ++i) {
    text += fmt::format("{}{} ({:.2f})", i > 0 ? ", " : "", example.answers[i].text,
                        example.answers[i].probability);
  }
  return {text, marks ? "right" : ""};
}

struct Row {
  std::string question, right;
  std::map<std::size_t, const ReportExample*> of_run;
};

/// In the order of the first run that has the question.
std::vector<Row> rows_of(const ReportContent& content) {
  std::vector<Row> rows;
  for (std::size_t i = 0; i < content.runs.size(); ++i) {
    for (const ReportExample& example : content.runs[i].examples) {
      auto row = std::ranges::find(rows, example.question, &Row::question);
      if (row == rows.end()) row = rows.insert(row, {example.question, example.right, {}});
      row->of_run[i] = &example;
    }
  }
  return rows;
}

/// "key answers 5 of 8 right, query 4 of 8."
std::string right_answers(const ReportContent& content) {
  std::string text;
  for (const ReportRun& run : content.runs) {
    const auto known = std::ranges::count_if(
        run.examples, [](const ReportExample& example) { return !example.right.empty(); });
    if (known == 0) continue;
    text += fmt::format("{}{} {} {} of {}", text.empty() ? "Right answers: " : ", ", run.name,
                        "has", std::ranges::count_if(run.examples, is_right), known);
  }
  return text.empty() ? "" : text + ". ";
}

}  // namespace

std::string example_table(const ReportContent& content) {
  const std::vector<Row> rows = rows_of(content);
  if (rows.empty()) return "";
  std::vector<HtmlCell> header{"question", "right answer"};
  for (std::size_t i = 0; i < content.runs.size(); ++i) {
    header.push_back(heading_of(content.runs[i], i));
  }
  HtmlTable table("examples", std::move(header));
  for (const Row& row : rows) {
    std::vector<HtmlCell> cells{row.question, row.right.empty() ? kNothing : row.right};
    for (std::size_t i = 0; i < content.runs.size(); ++i) {
      const auto found = row.of_run.find(i);
      cells.push_back(found == row.of_run.end() ? HtmlCell(kNothing) : cell_of(*found->second));
    }
    table.add_row(std::move(cells));
  }
  return table.html() +
         fmt::format(
             "<p class=\"note\">{}The most probable answers and how probable the model holds "
             "them; ✓ where the first is right. A few questions show what answers look like: "
             "validation tells how many are right.</p>\n",
             escape_html(right_answers(content)));
}

}  // namespace maskgrad
