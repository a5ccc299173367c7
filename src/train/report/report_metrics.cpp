#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <fmt/format.h>

#include <maskgrad/train/report/html.hpp>
#include <maskgrad/train/report/report_sections.hpp>
#include <maskgrad/train/report/svg_plot.hpp>

namespace maskgrad {
namespace {

/// A run or reference as a column: its heading, and its values by epoch.
struct Column {
  HtmlCell heading;
  std::map<double, double> values;
};

std::map<double, double> values_of(const ReportRun& run, const std::string& metric) {
  std::map<double, double> values;
  for (std::size_t i = 0; i < run.epochs.size(); ++i) {
    const std::optional<double> value = find_value(run.epochs[i], metric);
    const double epoch = find_value(run.epochs[i], "epoch").value_or(static_cast<double>(i + 1));
    if (value && std::abs(epoch) < 9e15) values[epoch] = *value;
  }
  return values;
}

std::map<double, double> values_of(const ReferenceCurve& curve) {
  std::map<double, double> values;
  for (const double value : curve.values) {
    values[static_cast<double>(values.size() + 1)] = value;
  }
  return values;
}

HtmlCell heading_of(const ReportRun& run, std::size_t place) {
  return {run.name, fmt::format("run s{}", place % kPlotColors)};
}

std::vector<Column> run_columns(const ReportContent& content, const std::string& metric) {
  std::vector<Column> columns;
  for (std::size_t i = 0; i < content.runs.size(); ++i) {
    columns.push_back({heading_of(content.runs[i], i), values_of(content.runs[i], metric)});
  }
  return columns;
}

std::vector<Column> reference_columns(const ReportContent& content, const std::string& metric) {
  std::vector<Column> columns;
  for (const ReferenceCurve& curve : content.references) {
    if (curve.metric == metric) columns.push_back({{curve.name, "run ref"}, values_of(curve)});
  }
  return columns;
}

/// `run` minus `reference` at the epochs that both have.
Column difference(const Column& run, const Column& reference) {
  Column result{{run.heading.text + " − " + reference.heading.text, "ruled"}, {}};
  for (const auto& [epoch, value] : run.values) {
    const auto other = reference.values.find(epoch);
    if (other != reference.values.end()) result.values[epoch] = value - other->second;
  }
  return result;
}

/// The largest size of a column's finite values.
std::string largest_size(const Column& column) {
  double largest = -1;
  for (const auto& [epoch, value] : column.values) {
    if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
  }
  return largest < 0 ? kNothing : format_number(largest);
}

std::string last_value(const std::map<double, double>& values) {
  return values.empty() ? kNothing : format_number(values.rbegin()->second);
}

// Nothing where the run has no such metric.
const std::map<double, double>* validation_of(const ReportRun& run, const std::string& metric) {
  const auto found = std::ranges::find(run.validation, metric, &ReportValidation::metric);
  return found == run.validation.end() ? nullptr : &found->values;
}

std::string last_validation(const ReportRun& run, const std::string& metric) {
  const auto* values = validation_of(run, metric);
  return values == nullptr ? kNothing : format_number(values->rbegin()->second);
}

bool has_validation(const ReportContent& content, const std::string& metric) {
  return std::ranges::any_of(
      content.runs, [&](const ReportRun& run) { return validation_of(run, metric) != nullptr; });
}

/// Whether the metric is a share of samples or tokens, by the names that recipes give accuracies.
bool is_share(std::string_view metric) {
  constexpr std::string_view kShares[] = {"accuracy", "exact", "tokens"};
  return std::ranges::find(kShares, metric) != std::end(kShares);
}

}  // namespace

std::vector<std::string> report_metrics(const ReportContent& content) {
  std::vector<std::string> metrics;
  const auto add = [&](const std::string& name) {
    if (name == "epoch" || name == "steps" || name == "seconds") return;
    if (std::find(metrics.begin(), metrics.end(), name) == metrics.end()) metrics.push_back(name);
  };
  for (const ReportRun& run : content.runs) {
    for (const EpochRow& row : run.epochs) {
      for (const auto& [name, value] : row) add(name);
    }
  }
  for (const ReferenceCurve& curve : content.references) add(curve.metric);
  return metrics;
}

std::int64_t parameter_count(const ReportRun& run) {
  std::int64_t count = 0;
  for (const ReportParameter& parameter : run.parameters) count += parameter.shape.numel();
  return count;
}

std::string summary_table(const ReportContent& content) {
  std::vector<HtmlCell> header{""};
  for (std::size_t i = 0; i < content.runs.size(); ++i) {
    header.push_back(heading_of(content.runs[i], i));
  }
  for (const ReferenceCurve& curve : content.references) header.push_back({curve.name, "run ref"});
  HtmlTable table("summary", std::move(header));
  const auto add_row = [&](const std::string& name, auto&& of_run, auto&& of_reference) {
    std::vector<HtmlCell> cells{name};
    for (const ReportRun& run : content.runs) cells.emplace_back(of_run(run));
    for (const ReferenceCurve& curve : content.references) cells.emplace_back(of_reference(curve));
    table.add_row(std::move(cells));
  };
  const auto unknown = [](const ReferenceCurve&) { return kNothing; };
  for (const std::string& metric : report_metrics(content)) {
    add_row(
        "final " + metric, [&](const ReportRun& run) { return last_value(values_of(run, metric)); },
        [&](const ReferenceCurve& curve) {
          return curve.metric == metric ? last_value(values_of(curve)) : kNothing;
        });
    if (!has_validation(content, metric)) continue;
    add_row(
        "final validation " + metric,
        [&](const ReportRun& run) { return last_validation(run, metric); }, unknown);
  }
  const auto has_best = [](const ReportRun& run) { return run.best.has_value(); };
  if (std::ranges::any_of(content.runs, has_best)) {
    const auto of_best = [](auto&& text) {
      return [=](const ReportRun& run) { return run.best ? text(*run.best) : kNothing; };
    };
    add_row("best validation loss",
            of_best([](const BestValidation& best) { return format_number(best.loss); }), unknown);
    add_row("after step",
            of_best([](const BestValidation& best) { return format_count(best.step); }), unknown);
  }
  add_row(
      "epochs", [](const ReportRun& run) { return epochs_text(epochs_in(run)); },
      [](const ReferenceCurve& curve) { return std::to_string(curve.values.size()); });
  add_row("steps", steps_text, unknown);
  add_row(
      "parameters", [](const ReportRun& run) { return format_count(parameter_count(run)); },
      unknown);
  add_row("seconds", seconds_text, unknown);
  add_row("ms a step (median of epochs)", step_time_text, unknown);
  return table.html();
}

std::string metric_chart(const ReportContent& content, const std::string& metric) {
  LineChart chart{.title = metric + " by epoch",
                  .x_label = "epoch",
                  .y_label = metric,
                  .series = {},
                  .y_is_share = is_share(metric)};
  const auto add = [&](const Column& column, bool is_reference) {
    PlotSeries series{column.heading.text, {}, is_reference};
    for (const auto& [epoch, value] : column.values) {
      series.points.push_back({epoch, value});
    }
    chart.series.push_back(std::move(series));
  };
  for (const Column& column : run_columns(content, metric)) add(column, false);
  for (const Column& column : reference_columns(content, metric)) add(column, true);
  return draw(chart);
}

std::string validation_chart(const ReportContent& content, const std::string& metric) {
  if (!has_validation(content, metric)) return "";
  LineChart chart{.title = "validation " + metric + " by epoch",
                  .x_label = "epoch",
                  .y_label = metric,
                  .series = {},
                  .y_is_share = is_share(metric)};
  for (std::size_t i = 0; i < content.runs.size(); ++i) {
    PlotSeries series{heading_of(content.runs[i], i).text, {}};
    if (const auto* values = validation_of(content.runs[i], metric)) {
      for (const auto& [epoch, value] : *values) series.points.push_back({epoch, value});
    }
    chart.series.push_back(std::move(series));
  }
  return draw(chart);
}

std::string metric_table(const ReportContent& content, const std::string& metric) {
  std::vector<Column> columns = run_columns(content, metric);
  const std::size_t runs = columns.size();
  for (Column& column : reference_columns(content, metric)) columns.push_back(std::move(column));
  const std::size_t values = columns.size();
  for (std::size_t r = runs; r < values; ++r) {
    for (std::size_t i = 0; i < runs; ++i) columns.push_back(difference(columns[i], columns[r]));
  }
  std::set<double> epochs;
  std::vector<HtmlCell> header{"epoch"}, largest{"largest difference"};
  for (std::size_t i = 0; i < columns.size(); ++i) {
    header.push_back(columns[i].heading);
    largest.push_back(i < values ? HtmlCell("") : HtmlCell(largest_size(columns[i]), "ruled"));
    for (const auto& [epoch, value] : columns[i].values) epochs.insert(epoch);
  }
  HtmlTable table("metric", std::move(header));
  for (const double epoch : epochs) {
    std::vector<HtmlCell> cells{epochs_text(epoch)};
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const auto value = columns[i].values.find(epoch);
      const bool is_missing = value == columns[i].values.end();
      const auto format = i < values ? format_number : format_difference;
      cells.push_back({is_missing ? kNothing : format(value->second), i < values ? "" : "ruled"});
    }
    table.add_row(std::move(cells));
  }
  if (runs < values) table.add_row(std::move(largest), "total");
  return table.html();
}

std::string equal_runs_note(const ReportContent& content, const std::string& metric) {
  std::vector<Column> columns = run_columns(content, metric);
  std::string notes;
  while (!columns.empty()) {
    const Column first = columns.front();
    std::vector<std::string> names;
    std::erase_if(columns, [&](const Column& column) {
      const bool is_equal = column.values == first.values;
      if (is_equal) names.push_back(column.heading.text);
      return is_equal;
    });
    if (names.empty()) columns.erase(columns.begin());  // NaN equals nothing, itself included
    if (names.size() < 2 || first.values.empty()) continue;
    std::string list = names.front();
    for (std::size_t i = 1; i < names.size(); ++i) {
      list += (i + 1 == names.size() ? " and " : ", ") + names[i];
    }
    notes += fmt::format(
        "<p class=\"note\">{} have the same {} at every epoch, digit for digit."
        "</p>\n",
        escape_html(list), escape_html(metric));
  }
  return notes;
}

}  // namespace maskgrad
