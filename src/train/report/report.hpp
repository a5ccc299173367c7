// One page about one or several runs, side by side.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <maskgrad/train/report/report_run.hpp>

namespace maskgrad {

/// Between which values runs of other seeds lie. `low[i]` and `high[i]` are those of epoch i + 1.
struct ReferenceBand {
  std::string name;  ///< in the plural: "12 runs with other seeds"
  std::vector<double> low, high;
};

/// Values published elsewhere, shown beside the runs. `values[i]` is the value of epoch i + 1.
struct ReferenceCurve {
  std::string name;
  std::string metric;  ///< a column of epochs.csv: "loss"
  std::vector<double> values;
  std::vector<std::size_t> runs = {};  ///< the places of the runs it is compared with; none: all
  ReferenceBand band = {};             ///< without values: nothing is known of other seeds
  std::string about = {};              ///< sentences: what it is, and where it comes from
  std::string link = {};               ///< an address that begins with https://; empty: none
};

/// How every report begins.
inline constexpr std::string_view kReportStart =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
    "<meta name=\"color-scheme\" content=\"light dark\"/>\n";

/// What the runs were trained to do, each task once: "maskgrad: blog and text". Of more than 4
/// tasks the first 3 are named, and the others counted.
std::string report_title(std::span<const ReportRun> runs);

/// A self-contained HTML file, without scripts or anything to fetch. It shows conclusions in words,
/// a summary, example answers, a curve for each metric on validation data and in training, with
/// dashed reference curves, the losses of each epoch beside the references and their differences,
/// the models, the settings with marks where they differ, the parameters, and histograms by epoch.
/// What is measured on validation data comes first. A loss that falls far has a logarithmic axis.
/// The summary ends with `notes`, a line each: what a reader should know that is of no run here.
/// Equal input gives equal bytes. Throws Error when there are no runs.
std::string render_report(std::string_view title, std::span<const ReportRun> runs,
                          std::span<const ReferenceCurve> references,
                          std::span<const std::string> notes = {});

}  // namespace maskgrad
