// The graph of a model as boxes from top to bottom, for a report.
#pragma once

#include <string>
#include <string_view>

#include <maskgrad/train/report/report_sections.hpp>

namespace maskgrad {

/// The models of all runs, each drawn once, with a sentence about what is drawn; "" where no run
/// has a graph.
std::string model_charts(const ReportContent& content);

/// The rules for these charts.
std::string_view model_chart_style();

}  // namespace maskgrad
