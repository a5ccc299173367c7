#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <fmt/format.h>

#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/report/report_columns.hpp>
#include <maskgrad/train/report/report_words.hpp>
#include <maskgrad/train/report/svg_plot.hpp>

namespace maskgrad {
namespace {

/// `run` minus `reference` at the epochs that both have.
Column difference(const Column& run, const Column& reference) {
  Column result{{run.heading.text + " − " + reference.heading.text, "ruled"}, {}};
  for (const auto& [epoch, value] : run.values) {
    const auto other = reference.values.find(epoch);
    if (other != reference.values.end()) result.values[epoch] = value - other->second;
  }
  return result;
}

LineChart chart_of(std::string title, const std::string& metric) {
  return {.title = std::move(title),
          .x_label = "epoch",
          .y_label = metric,
          .series = {},
          .y_is_share = is_share(metric)};
}

PlotBand band_of(const ReferenceBand& band) {
  PlotBand result{.name = band.name, .x = {}, .low = band.low, .high = band.high};
  for (std::size_t i = 0; i < band.low.size(); ++i) result.x.push_back(static_cast<double>(i + 1));
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

std::string metric_chart(const ReportContent& content, const std::string& metric) {
  LineChart chart = chart_of("training " + metric + " by epoch", metric);
  for (const ReferenceCurve& curve : content.references) {
    if (curve.metric == metric && !curve.band.low.empty())
      chart.bands.push_back(band_of(curve.band));
  }
  const auto add = [&](const Column& column, bool is_reference) {
    PlotSeries series{column.heading.text, {}, is_reference};
    for (const auto& [epoch, value] : column.values) {
      series.points.push_back({epoch, value});
    }
    chart.series.push_back(std::move(series));
  };
  for (std::size_t i = 0; i < content.runs.size(); ++i) {
    Column column{heading_of(content.runs[i], i), training_figures(content.runs[i], metric).values};
    add(column, false);
  }
  for (const Column& column : reference_columns(content, metric)) add(column, true);
  return draw(chart);
}

std::string parts_note(const ReportContent& content, const std::string& metric) {
  std::string notes;
  for (const ReportRun& run : content.runs) {
    const std::int64_t steps = steps_in_part(run.epochs);
    if (steps == 0 || training_figures(run, metric).values.size() == values_of(run, metric).size())
      continue;
    notes += fmt::format(
        "<p class=\"note\">{} ended within an epoch: {} is not drawn.</p>\n", escape_html(run.name),
        steps == 1 ? "its last step" : fmt::format("the mean of its last {} steps", steps));
  }
  return notes;
}

std::string validation_chart(const ReportContent& content, const std::string& metric) {
  if (!has_validation(content, metric)) return "";
  LineChart chart = chart_of("validation " + metric + " by epoch", metric);
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
  std::size_t at = runs;
  for (const ReferenceCurve& curve : content.references) {
    if (curve.metric != metric) continue;
    for (std::size_t i = 0; i < runs; ++i) {
      if (is_comparable(curve, i)) columns.push_back(difference(columns[i], columns[at]));
    }
    ++at;
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
    notes += fmt::format(
        "<p class=\"note\">{} have the same {} at every epoch, digit for digit."
        "</p>\n",
        escape_html(listed(names)), escape_html(metric));
  }
  return notes;
}

}  // namespace maskgrad
