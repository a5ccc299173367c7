// What a run came to beside its curves: figures of its examination, and what its mask keeps.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/report/report_columns.hpp>

namespace maskgrad {
namespace {

std::vector<std::string> names_in(const ReportContent& content) {
  std::vector<std::string> names;
  for (const ReportRun& run : content.runs) {
    for (const auto& [name, value] : run.results) {
      if (std::ranges::find(names, name) == names.end()) names.push_back(name);
    }
  }
  return names;
}

std::optional<double> result_of(const ReportRun& run, std::string_view name) {
  for (const auto& [other, value] : run.results) {
    if (other == name) return value;
  }
  return std::nullopt;
}

// A count or a time needs no decimals.
std::string result_text(double value) {
  return std::abs(value) >= 100 ? fmt::format("{:.0f}", value) : format_number(value);
}

// Empty where the results are those of the run's end.
std::string about_older(const ReportRun& run) {
  if (!has_older_results(run)) return "";
  return fmt::format(
      "<p class=\"note\">This is {} after step {}. It has gone on to step {} since.</p>\n",
      escape_html(run.name), with_commas(*run.results_step), steps_text(run));
}

// The step of each run whose results tell it.
void add_steps(HtmlTable& table, const ReportContent& content) {
  const auto has_step = [](const ReportRun& run) { return run.results_step.has_value(); };
  if (std::ranges::none_of(content.runs, has_step)) return;
  std::vector<HtmlCell> cells{"after step"};
  for (const ReportRun& run : content.runs) {
    cells.emplace_back(run.results_step ? with_commas(*run.results_step) : kNothing);
  }
  table.add_row(std::move(cells));
}

// "Behind its mask a step of gumbel takes 61 % of the time of one that reads all. Making the mask
// takes 20 % more." Of each run that was timed.
std::string about_time(const ReportContent& content) {
  std::string text;
  for (const ReportRun& run : content.runs) {
    const auto hard = result_of(run, "us_per_step_hard"), full = result_of(run, "us_per_step_full");
    if (!hard || !full || !(*full > 0)) continue;
    text += fmt::format(
        "{}Behind its mask a step of {} takes {:.0f} % of the time of one that reads "
        "all.",
        text.empty() ? "" : " ", run.name, 100 * *hard / *full);
    if (const auto mask = result_of(run, "us_per_mask")) {
      text += fmt::format(" Making the mask takes {:.0f} % more.", 100 * *mask / *full);
    }
  }
  return text.empty() ? "" : "<p class=\"note\">" + escape_html(text) + "</p>\n";
}

std::string token_html(const ReportToken& token) {
  const char* const use = token.use == TokenRole::kNeeded ? " needed"
                          : token.use == TokenRole::kJunk ? " junk"
                                                          : "";
  const char* const element = token.kept ? "span" : "s";
  return fmt::format("<{0} class=\"token{1}\">{2}</{0}>", element, use, escape_html(token.text));
}

}  // namespace

std::string results_table(const ReportContent& content) {
  const std::vector<std::string> names = names_in(content);
  if (names.empty()) return "";
  std::vector<HtmlCell> header{"figure"};
  for (std::size_t i = 0; i < content.runs.size(); ++i) {
    header.push_back(heading_of(content.runs[i], i));
  }
  HtmlTable table("results", std::move(header));
  add_steps(table, content);
  for (const std::string& name : names) {
    std::vector<HtmlCell> cells{name};
    for (const ReportRun& run : content.runs) {
      const std::optional<double> value = result_of(run, name);
      cells.emplace_back(value ? result_text(*value) : kNothing);
    }
    table.add_row(std::move(cells));
  }
  std::string notes;
  for (const ReportRun& run : content.runs) notes += about_older(run);
  return table.html() + notes + about_time(content);
}

std::string choice_tables(const ReportContent& content) {
  std::string body;
  for (const ReportRun& run : content.runs) {
    if (run.choices.empty()) continue;
    if (content.runs.size() > 1) body += "<h3>" + escape_html(run.name) + "</h3>\n";
    std::vector<HtmlCell> header(run.choices[0].begin(), run.choices[0].end());
    HtmlTable table("results", std::move(header));
    for (std::size_t i = 1; i < run.choices.size(); ++i) {
      std::vector<HtmlCell> cells(run.choices[i].begin(), run.choices[i].end());
      cells.resize(run.choices[0].size(), HtmlCell(kNothing));
      table.add_row(std::move(cells));
    }
    body += table.html() + about_older(run);
  }
  return body;
}

std::string kept_inputs(const ReportContent& content) {
  std::string body;
  for (const ReportRun& run : content.runs) {
    if (run.kept.empty()) continue;
    if (content.runs.size() > 1) body += "<h3>" + escape_html(run.name) + "</h3>\n";
    body += "<div class=\"kept\">\n";
    for (const std::vector<ReportToken>& input : run.kept) {
      body += "<p>";
      for (const ReportToken& token : input) body += token_html(token);
      body += "</p>\n";
    }
    body += "</div>\n" + about_older(run);
  }
  if (body.empty()) return "";
  return body +
         "<p class=\"note\">A line for each input that the run was not trained on. Struck out: the "
         "mask drops it, and layers skip it. <span class=\"token needed\">Underlined</span>: the "
         "answer needs it. <span class=\"token junk\">Pale</span>: junk.</p>\n";
}

}  // namespace maskgrad
