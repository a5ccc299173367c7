#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include <maskgrad/tensor/print.hpp>
#include <maskgrad/train/report/html.hpp>
#include <maskgrad/train/report/report_sections.hpp>

namespace maskgrad {
namespace {

bool is_whole(double epoch) { return epoch == std::floor(epoch); }

}  // namespace

double epochs_in(const ReportRun& run) {
  if (run.epochs.empty()) return 0;
  const auto rows = static_cast<double>(run.epochs.size());
  const double last = find_value(run.epochs.back(), "epoch").value_or(rows);
  const double part = last - std::floor(last);
  return part > 0 ? rows - 1 + part : rows;
}

std::string epochs_text(double epochs) {
  if (is_whole(epochs)) return fmt::format("{:.0f}", epochs);
  std::string text;
  for (int decimals = 2; decimals <= 17; ++decimals) {
    text = fmt::format("{:.{}f}", epochs, decimals);
    if (text.find_first_not_of('0', text.find('.') + 1) != std::string::npos) break;
  }
  return text;
}

std::string seconds_text(const ReportRun& run) {
  double sum = 0;
  for (const EpochRow& row : run.epochs) {
    const std::optional<double> seconds = find_value(row, "seconds");
    if (!seconds) return kNothing;
    sum += *seconds;
  }
  return fmt::format("{:.1f}", sum);
}

std::string step_time_text(const ReportRun& run) {
  std::vector<double> times;
  double steps_before = 0;
  for (const EpochRow& row : run.epochs) {
    if (!is_whole(find_value(row, "epoch").value_or(0))) continue;
    const double steps = find_value(row, "steps").value_or(0);
    const std::optional<double> seconds = find_value(row, "seconds");
    if (seconds && steps > steps_before) times.push_back(1e3 * *seconds / (steps - steps_before));
    steps_before = steps;
  }
  if (times.empty()) return kNothing;
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return fmt::format("{:.3f}", *middle);
}

std::string steps_text(const ReportRun& run) {
  const std::optional<double> steps =
      run.epochs.empty() ? std::nullopt : find_value(run.epochs.back(), "steps");
  if (!steps || !(std::abs(*steps) < 9e15)) return kNothing;
  return with_commas(static_cast<std::int64_t>(*steps));
}

}  // namespace maskgrad
