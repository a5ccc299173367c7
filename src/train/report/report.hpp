// One page about one or several runs, side by side.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <maskgrad/train/report/report_run.hpp>

namespace maskgrad {

/// Values published elsewhere, to be seen beside the runs: `values[i]` is that of epoch i + 1.
struct ReferenceCurve {
  std::string name;
  std::string metric;  ///< a column of epochs.csv: "loss"
  std::vector<double> values;
};

/// A self-contained HTML file (no scripts, nothing fetched) with a summary, a curve for each metric
/// with reference curves dashed, epoch losses beside the references and their differences, settings
/// with those that differ marked, parameters, and histograms by epoch. Equal input gives equal
/// bytes. Throws Error without runs.
std::string render_report(std::string_view title, std::span<const ReportRun> runs,
                          std::span<const ReferenceCurve> references);

}  // namespace maskgrad
