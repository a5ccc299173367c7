// Metrics of runs and references as columns of numbers. Internal to src/train/report.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <maskgrad/train/report/html.hpp>
#include <maskgrad/train/report/report_sections.hpp>

namespace maskgrad {

/// A run or reference as a column: its heading, and its values by epoch.
struct Column {
  HtmlCell heading;
  std::map<double, double> values;
};

HtmlCell heading_of(const ReportRun& run, std::size_t place);
HtmlCell heading_of(const ReferenceCurve& curve);

std::map<double, double> values_of(const ReportRun& run, const std::string& metric);
std::map<double, double> values_of(const ReferenceCurve& curve);

/// A metric in training by epoch, without the mean of a part of an epoch, which may be that of a
/// single step. Where no epoch is whole it is the only value, and the mean of so many steps.
struct TrainingFigures {
  std::map<double, double> values;
  std::int64_t steps_in_part = 0;  // 0: of whole epochs
};
TrainingFigures training_figures(const ReportRun& run, const std::string& metric);

/// The metric on validation data; null where the run has none.
const std::map<double, double>* validation_of(const ReportRun& run, const std::string& metric);
/// The last value where it is finite.
std::optional<double> last_of(const std::map<double, double>& values);
std::optional<double> last_in_validation(const ReportRun& run, const std::string& metric);
bool has_validation(const ReportContent& content, const std::string& metric);

std::vector<Column> run_columns(const ReportContent& content, const std::string& metric);
std::vector<Column> reference_columns(const ReportContent& content, const std::string& metric);

/// Whether the reference may be compared with the run at this place.
bool is_comparable(const ReferenceCurve& curve, std::size_t place);

/// Whether the metric is a share of samples or tokens, by the names that recipes give accuracies.
bool is_share(std::string_view metric);

}  // namespace maskgrad
