#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <maskgrad/train/report/report_columns.hpp>
#include <maskgrad/train/report/svg_plot.hpp>

namespace maskgrad {

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

TrainingFigures training_figures(const ReportRun& run, const std::string& metric) {
  const std::map<double, double> all = values_of(run, metric);
  TrainingFigures whole{all};
  std::erase_if(whole.values, [](const auto& one) { return one.first != std::floor(one.first); });
  if (!whole.values.empty() || all.empty()) return whole;
  return {{*all.rbegin()}, std::max<std::int64_t>(1, steps_in_part(run.epochs))};
}

HtmlCell heading_of(const ReportRun& run, std::size_t place) {
  return {run.name, fmt::format("run s{}", place % kPlotColors)};
}

HtmlCell heading_of(const ReferenceCurve& curve) { return {curve.name, "run ref"}; }

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
    if (curve.metric == metric) columns.push_back({heading_of(curve), values_of(curve)});
  }
  return columns;
}

const std::map<double, double>* validation_of(const ReportRun& run, const std::string& metric) {
  const auto found = std::ranges::find(run.validation, metric, &ReportValidation::metric);
  return found == run.validation.end() ? nullptr : &found->values;
}

std::optional<double> last_of(const std::map<double, double>& values) {
  if (values.empty() || !std::isfinite(values.rbegin()->second)) return std::nullopt;
  return values.rbegin()->second;
}

std::optional<double> last_in_validation(const ReportRun& run, const std::string& metric) {
  const auto* values = validation_of(run, metric);
  return values == nullptr ? std::nullopt : last_of(*values);
}

bool has_validation(const ReportContent& content, const std::string& metric) {
  return std::ranges::any_of(
      content.runs, [&](const ReportRun& run) { return validation_of(run, metric) != nullptr; });
}

bool is_share(std::string_view metric) {
  constexpr std::string_view kShares[] = {"accuracy", "exact", "tokens"};
  return std::ranges::find(kShares, metric) != std::end(kShares);
}

bool is_comparable(const ReferenceCurve& curve, std::size_t place) {
  return curve.runs.empty() || std::ranges::find(curve.runs, place) != curve.runs.end();
}

}  // namespace maskgrad
