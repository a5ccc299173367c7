#include <algorithm>
#include <cmath>
#include <limits>

#include <maskgrad/train/report/chart_frame.hpp>

namespace maskgrad {
namespace {

constexpr double kLogarithmicFrom = 1e3;  // the largest value by the smallest
constexpr double kSmallLoss = 0.01;       // a linear axis shows larger ones apart from 0
constexpr double kSmallest = 1e-200;      // what is closer to 0 is 0 on a logarithmic axis

/// All points of the chart, those of its bands too.
template <class F>
void for_each_point(const LineChart& chart, F f) {
  for (const PlotSeries& series : chart.series) {
    for (const PlotPoint& point : series.points) f(point);
  }
  for (const PlotBand& band : chart.bands) {
    for (std::size_t i = 0; i < band.x.size(); ++i) {
      if (i < band.low.size()) f(PlotPoint{band.x[i], band.low[i]});
      if (i < band.high.size()) f(PlotPoint{band.x[i], band.high[i]});
    }
  }
}

/// The range of the values above 0 where a logarithmic axis shows more of them; else empty.
PlotRange logarithmic_range(const LineChart& chart) {
  PlotRange above_zero;
  bool has_negative = false;
  for_each_point(chart, [&](const PlotPoint& point) {
    if (!is_drawable(point)) return;
    has_negative = has_negative || point.y < 0;
    if (point.y >= kSmallest) above_zero.add(point.y);
  });
  const bool spans = !above_zero.is_empty && above_zero.low <= kSmallLoss &&
                     above_zero.high / kLogarithmicFrom >= above_zero.low;
  return spans && !has_negative && !chart.y_is_share ? above_zero : PlotRange();
}

}  // namespace

bool is_drawable(const PlotPoint& point) { return is_drawable(point.x) && is_drawable(point.y); }

Frame frame_of(const LineChart& chart) {
  const PlotRange logarithmic = logarithmic_range(chart);
  PlotRange x, y;
  for_each_point(chart, [&](const PlotPoint& point) {
    if (!is_drawable(point)) return;
    x.add(point.x);
    y.add(point.y);
  });
  // The part of an epoch lies within that epoch.
  if (chart.x_is_whole && x.low == x.high && x.low != std::floor(x.low)) {
    x = {std::floor(x.low), std::ceil(x.high), false};
  }
  // A share that never changes lies between none and all.
  const bool is_level_share = chart.y_is_share && !y.is_empty && y.low == y.high;
  if (is_level_share && y.low >= 0 && y.high <= 1) y = {0, 1, false};
  Frame frame{make_ticks(x, 12, chart.x_is_whole ? TickKind::kWhole : TickKind::kReal),
              logarithmic.is_empty ? make_ticks(y, 6) : make_log_ticks(logarithmic, 6),
              {},
              {}};
  std::size_t letters = 3;
  for (const std::string& label : frame.y_ticks.labels) letters = std::max(letters, label.size());
  const double left = 16 + kLetter * static_cast<double>(letters);
  frame.x = {frame.x_ticks.low(), frame.x_ticks.high(), left + kInset, kRight - kInset};
  frame.y = {frame.y_ticks.low(), frame.y_ticks.high(), kPlotHeight, 0, !logarithmic.is_empty};
  return frame;
}

LineChart without_zeros(LineChart chart) {
  constexpr double kGap = std::numeric_limits<double>::quiet_NaN();
  for (PlotSeries& series : chart.series) {
    for (PlotPoint& point : series.points) point.y = point.y >= kSmallest ? point.y : kGap;
  }
  for (PlotBand& band : chart.bands) {
    for (double& value : band.low) value = value >= kSmallest ? value : kGap;
  }
  return chart;
}

}  // namespace maskgrad
