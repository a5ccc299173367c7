// One page about one or several runs, side by side.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <maskgrad/train/report/report_run.hpp>

namespace maskgrad {

/// Values published elsewhere, shown beside the runs. `values[i]` is the value of epoch i + 1.
struct ReferenceCurve {
  std::string name;
  std::string metric;  ///< a column of epochs.csv: "loss"
  std::vector<double> values;
};

/// How every report begins.
inline constexpr std::string_view kReportStart =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
    "<meta name=\"color-scheme\" content=\"light dark\"/>\n";

/// A self-contained HTML file, without scripts or anything to fetch. It shows a summary, a curve
/// for each metric with dashed reference curves, and beside it the metric on validation data, the
/// losses of each epoch beside the references and their differences, the models, the settings with
/// marks where they differ, the parameters, and histograms by epoch. Equal input gives equal bytes.
/// Throws Error when there are no runs.
std::string render_report(std::string_view title, std::span<const ReportRun> runs,
                          std::span<const ReferenceCurve> references);

}  // namespace maskgrad
