// Where the values of a line chart lie in its drawing. Internal to src/train/report.
#pragma once

#include <maskgrad/train/report/plot_scale.hpp>
#include <maskgrad/train/report/svg_plot.hpp>

namespace maskgrad {

// In user units; the page scales the drawing to the room it has. Widths of text are for the larger
// letters that narrow screens get.
inline constexpr double kWidth = 600;
inline constexpr double kPlotHeight = 270;
inline constexpr double kRight = kWidth - 18;
inline constexpr double kInset = 9;  // from the ends of the axis to the first and last x
inline constexpr double kLetter = 9;

/// Where the data lies in the drawing.
struct Frame {
  Ticks x_ticks;
  Ticks y_ticks;
  PlotScale x;
  PlotScale y;
};

bool is_drawable(const PlotPoint& point);

/// Axes that hold all points of the chart. The y axis is logarithmic where LineChart says so. Its
/// place from the top is not settled: y runs from kPlotHeight to 0.
Frame frame_of(const LineChart& chart);

/// The chart with NaN for what a logarithmic axis has no place for.
LineChart without_zeros(LineChart chart);

}  // namespace maskgrad
