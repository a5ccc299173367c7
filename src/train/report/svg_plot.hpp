// Charts as SVG elements for HTML pages: no scripts, colours that the colour-blind can tell apart.
//
// The elements name CSS classes only; the page that shows them contains plot_style() once. Equal
// input gives equal bytes, and all text is escaped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <maskgrad/tensor/mask/attention_mask.hpp>
#include <maskgrad/train/formats/histogram.hpp>

namespace maskgrad {

struct PlotPoint {
  double x = 0;
  double y = 0;
};

/// A named line. A series keeps its colour and marker by its place among those of its kind, so a
/// page passes a series without points, which the legend leaves out, rather than none.
struct PlotSeries {
  std::string name;
  std::vector<PlotPoint> points;  // x ascending
  bool is_reference = false;      ///< drawn dashed and grey, below the others
};

/// The area between two lines over the same x, drawn pale and below all lines.
struct PlotBand {
  std::string name;
  std::vector<double> x, low, high;  // as many of each
};

/// Lines over x. A value that is_drawable() refuses leaves a gap and is counted in a note below.
/// A line that later ones cover is drawn as a wide pale band, so that both are seen. Where no value
/// is below 0, and the smallest above 0 is at most 0.01 and at most a thousandth of the largest,
/// the y axis is logarithmic and says so; a 0 is left out there like what is not finite.
struct LineChart {
  std::string title;
  std::string x_label;
  std::string y_label;
  std::vector<PlotSeries> series;
  bool x_is_whole = true;   ///< ticks at whole x only, as for epochs
  bool y_is_share = false;  ///< y is from 0 to 1: where it never changes, the axis shows all of it
  std::vector<PlotBand> bands = {};
};
std::string draw(const LineChart& chart);

/// One histogram of a ridgeline chart, and what its tooltip and its label call it.
struct Ridge {
  std::string label;
  Histogram histogram;
};

/// Histograms of one quantity as it changes, the first at the back, the last in front, all on the
/// same axes. At most 12 are drawn, evenly chosen, the first and the last among them.
struct RidgeChart {
  std::string title;
  std::string ridge_label;  ///< heads the labels: "epoch"
  std::vector<Ridge> ridges;
  std::size_t color = 0;  ///< the colour of the series with this place in a LineChart
};
std::string draw(const RidgeChart& chart);

/// A picture, and how many pixels wide it is.
struct SizedSvg {
  std::string svg;
  std::int64_t width = 0;
};

/// Which pairs a mask of [1, 1, S, T] keeps: a line for each query, a column for each key. At most
/// 128 of either are drawn, the first.
struct MaskChart {
  std::string title;
  AttentionMask mask;
  std::vector<std::string> queries = {};  ///< labels of the lines and columns; none: not labelled
  std::vector<std::string> keys = {};
  std::size_t color = 0;
};
SizedSvg draw(const MaskChart& chart);

/// Counts in `bins` equal bins over [low, high], low < high, of a histogram whose finite values lie
/// there. A bucket's count is spread evenly over the part of it between the histogram's min and
/// max. Counts that are not positive, or that is_drawable() refuses, count nothing. Throws Error
/// unless bins > 0.
std::vector<double> rebin(const Histogram& histogram, double low, double high, std::size_t bins);

/// The rules for all charts, light and dark, and the custom properties (--ink, --soft, --grid,
/// --surface, --c0 ... --c5) that they and the page share. Class `s<k>` sets --series to a colour.
std::string_view plot_style();

inline constexpr std::size_t kPlotColors = 6;
/// Queries, and keys, that a chart of masks (the first) or of weights (the last) shows at most.
inline constexpr std::int64_t kMostDrawnPositions = 128;

}  // namespace maskgrad
