#include <algorithm>
#include <cmath>
#include <cstdint>

#include <fmt/format.h>

#include <maskgrad/train/report/html.hpp>
#include <maskgrad/train/report/plot_scale.hpp>
#include <maskgrad/train/report/svg_plot.hpp>

namespace maskgrad {
namespace {

// In user units; the page scales the drawing to the room it has. Widths of text are for the larger
// letters that narrow screens get.
constexpr double kWidth = 600;
constexpr double kPlotHeight = 270;
constexpr double kRight = kWidth - 18;
constexpr double kInset = 9;  // from the ends of the axis to the first and last x
constexpr double kLegendTop = 40;
constexpr double kLegendRow = 24;
constexpr double kLetter = 9;
constexpr std::size_t kMaxName = 40;
constexpr std::size_t kMaxMarkers = 60;  // of a series: beyond, every n-th point has one

constexpr std::size_t kMaxCover = 3;  // wider than this, a band would hide the others

/// How a series is drawn.
struct Look {
  const PlotSeries* series;
  std::size_t place;      // among the series of its kind
  std::size_t cover = 0;  // how many later series lie on this one, up to kMaxCover
};

/// Where the data lies in the drawing.
struct Frame {
  Ticks x_ticks;
  Ticks y_ticks;
  PlotScale x;
  PlotScale y;
};

std::string css_of(const Look& look) {
  if (look.series->is_reference) return fmt::format("ref r{}", look.place % 3);
  return fmt::format("s{}{}", look.place % kPlotColors, look.cover > 0 ? " band" : "");
}

double line_width(const Look& look) {
  if (look.series->is_reference) return 1.6;
  return 2.2 + 5.0 * static_cast<double>(look.cover);
}

bool is_drawable(const PlotPoint& point) {
  return maskgrad::is_drawable(point.x) && maskgrad::is_drawable(point.y);
}

/// A shape around a point, closed by `end`: "/>" or a tooltip.
std::string marker(const Look& look, double x, double y, const std::string& end) {
  const double r = look.series->is_reference ? 2.4 : 3.6 + 3.2 * static_cast<double>(look.cover);
  const std::string size = format_pixels(r), twice = format_pixels(2 * r);
  const std::string left = format_pixels(x - r), top = format_pixels(y - r);
  const std::size_t shape = look.series->is_reference ? 0 : look.place % 5;
  if (shape == 0) {
    return fmt::format(R"(<circle cx="{}" cy="{}" r="{}"{})", format_pixels(x), format_pixels(y),
                       size, end);
  }
  const std::string middle = format_pixels(x), bottom = format_pixels(y + r);
  const std::string paths[] = {
      fmt::format("M{},{}h{}v{}h-{}z", left, top, twice, twice, twice),
      fmt::format("M{0},{1}l{2},{2} -{2},{2} -{2},-{2}z", middle, format_pixels(y - r), size),
      fmt::format("M{0},{1}l{2},{3}h-{3}z", middle, top, size, twice),
      fmt::format("M{0},{1}l{2},-{3}h-{3}z", middle, bottom, size, twice)};
  return fmt::format(R"(<path d="{}"{})", paths[shape - 1], end);
}

/// For each series its place among its kind and the later ones that hide it.
std::vector<Look> looks_of(const LineChart& chart, const Frame& frame) {
  std::vector<Look> looks;
  std::size_t places[2] = {};
  for (const PlotSeries& series : chart.series) {
    looks.push_back({&series, places[series.is_reference]++});
  }
  const auto is_near = [&](const PlotPoint& a, const PlotPoint& b) {
    if (!is_drawable(a)) return true;
    return is_drawable(b) && std::abs(frame.x(a.x) - frame.x(b.x)) < 1 &&
           std::abs(frame.y(a.y) - frame.y(b.y)) < 1;
  };
  for (std::size_t i = 0; i < looks.size(); ++i) {
    const auto& points = looks[i].series->points;
    if (looks[i].series->is_reference || points.empty()) continue;
    for (std::size_t j = i + 1; j < looks.size() && looks[i].cover < kMaxCover; ++j) {
      const auto& others = looks[j].series->points;
      if (looks[j].series->is_reference || others.size() < points.size()) continue;
      looks[i].cover += std::equal(points.begin(), points.end(), others.begin(), is_near) ? 1U : 0U;
    }
  }
  return looks;
}

std::string legend_name(const PlotSeries& series) {
  const bool is_empty = std::none_of(series.points.begin(), series.points.end(),
                                     [](const PlotPoint& point) { return is_drawable(point); });
  return shorten(series.name, kMaxName) + (is_empty ? " (no values)" : "");
}

/// The legend's rows from kLegendTop on; moves `y` below them.
std::string draw_legend(const std::vector<Look>& looks, double& y) {
  std::string out;
  double x = 4;
  y = kLegendTop;
  for (const Look& look : looks) {
    const std::string name = legend_name(*look.series);
    const double width = 50 + kLetter * static_cast<double>(name.size());
    if (x > 4 && x + width > kWidth) {
      x = 4;
      y += kLegendRow;
    }
    out += fmt::format(R"(<g class="{}"><path class="line" stroke-width="{}" d="M{},{}h26"/>)",
                       css_of(look), format_pixels(line_width(look)), format_pixels(x),
                       format_pixels(y));
    out += marker(look, x + 13, y, R"( class="dot"/>)");
    out += fmt::format(R"(<text x="{}" y="{}">{}</text></g>)", format_pixels(x + 36),
                       format_pixels(y + 4.5), escape_html(name));
    out += '\n';
    x += width;
  }
  y += kLegendRow;
  return out;
}

std::string draw_axes(const LineChart& chart, const Frame& frame) {
  std::string out;
  const double left = frame.x.from - kInset, bottom = frame.y.from;
  for (std::size_t i = 0; i < frame.y_ticks.values.size(); ++i) {
    const double y = frame.y(frame.y_ticks.values[i]);
    out += fmt::format(R"(<path class="grid" d="M{},{}H{}"/>)", format_pixels(left),
                       format_pixels(y), format_pixels(kRight));
    out += fmt::format(R"(<text class="tick end" x="{}" y="{}">{}</text>)", format_pixels(left - 8),
                       format_pixels(y + 4.5), frame.y_ticks.labels[i]);
  }
  for (std::size_t i = 0; i < frame.x_ticks.values.size(); ++i) {
    const std::string x = format_pixels(frame.x(frame.x_ticks.values[i]));
    out += fmt::format(R"(<path class="axis" d="M{},{}v5"/>)", x, format_pixels(bottom));
    out += fmt::format(R"(<text class="tick mid" x="{}" y="{}">{}</text>)", x,
                       format_pixels(bottom + 21), frame.x_ticks.labels[i]);
  }
  out += fmt::format(R"(<path class="axis" d="M{},{}H{}"/>)", format_pixels(left),
                     format_pixels(bottom), format_pixels(kRight));
  out += fmt::format(R"(<text class="label end" x="{}" y="{}">{}</text>)", format_pixels(kRight),
                     format_pixels(bottom + 43), escape_html(chart.x_label));
  out += fmt::format(R"(<text class="label" x="4" y="{}">{}</text>)",
                     format_pixels(frame.y.to - 16), escape_html(chart.y_label));
  return out + "\n";
}

/// The line through all points, broken at those that cannot be drawn.
std::string path_of(const PlotSeries& series, const Frame& frame) {
  std::string path;
  bool is_open = false;
  for (const PlotPoint& point : series.points) {
    const bool drawn = is_drawable(point);
    if (drawn) {
      path += fmt::format("{}{},{}", is_open ? 'L' : 'M', format_pixels(frame.x(point.x)),
                          format_pixels(frame.y(point.y)));
    }
    is_open = drawn;
  }
  return path;
}

std::string draw_series(const LineChart& chart, const Look& look, const Frame& frame) {
  const auto& points = look.series->points;
  std::string out = fmt::format(R"(<g class="{}">)", css_of(look));
  if (const std::string path = path_of(*look.series, frame); !path.empty()) {
    out += fmt::format(R"(<path class="line" stroke-width="{}" d="{}"/>)",
                       format_pixels(line_width(look)), path);
  }
  const std::size_t stride = (points.size() + kMaxMarkers - 1) / kMaxMarkers;
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (!is_drawable(points[i])) continue;
    const bool is_alone = (i == 0 || !is_drawable(points[i - 1])) &&
                          (i + 1 == points.size() || !is_drawable(points[i + 1]));
    if (i % stride != 0 && i + 1 != points.size() && !is_alone) continue;
    const std::string tooltip =
        fmt::format("{}, {} {:.6g}: {:.6g}", escape_html(shorten(look.series->name, kMaxName)),
                    escape_html(chart.x_label), points[i].x, points[i].y);
    out +=
        marker(look, frame.x(points[i].x), frame.y(points[i].y),
               fmt::format(R"( class="dot"><title>{}</title></{}>)", tooltip,
                           look.series->is_reference || look.place % 5 == 0 ? "circle" : "path"));
  }
  return out + "</g>\n";
}

Frame frame_of(const LineChart& chart) {
  PlotRange x, y;
  for (const PlotSeries& series : chart.series) {
    for (const PlotPoint& point : series.points) {
      if (!is_drawable(point)) continue;
      x.add(point.x);
      y.add(point.y);
    }
  }
  // The part of an epoch lies within that epoch.
  if (chart.x_is_whole && x.low == x.high && x.low != std::floor(x.low)) {
    x = {std::floor(x.low), std::ceil(x.high), false};
  }
  // A share that never changes lies between none and all.
  const bool is_level_share = chart.y_is_share && !y.is_empty && y.low == y.high;
  if (is_level_share && y.low >= 0 && y.high <= 1) y = {0, 1, false};
  Frame frame{make_ticks(x, 12, chart.x_is_whole ? TickKind::kWhole : TickKind::kReal),
              make_ticks(y, 6),
              {},
              {}};
  std::size_t letters = 3;
  for (const std::string& label : frame.y_ticks.labels) letters = std::max(letters, label.size());
  const double left = 16 + kLetter * static_cast<double>(letters);
  frame.x = {frame.x_ticks.low(), frame.x_ticks.high(), left + kInset, kRight - kInset};
  frame.y = {frame.y_ticks.low(), frame.y_ticks.high(), kPlotHeight, 0};
  return frame;
}

/// A sentence about the values that were left out; "" when there are none.
std::string draw_note(const LineChart& chart, double y) {
  std::int64_t left_out = 0;
  for (const PlotSeries& series : chart.series) {
    left_out += std::count_if(series.points.begin(), series.points.end(),
                              [](const PlotPoint& point) { return !is_drawable(point); });
  }
  if (left_out == 0) return "";
  return fmt::format("<text class=\"label\" x=\"4\" y=\"{}\">Not drawn: {} {} not finite.</text>\n",
                     format_pixels(y), left_out,
                     left_out == 1 ? "value that is" : "values that are");
}

}  // namespace

std::string draw(const LineChart& chart) {
  Frame frame = frame_of(chart);
  const std::vector<Look> looks = looks_of(chart, frame);
  double top = 0;
  const std::string legend = draw_legend(looks, top);
  top += 26;
  frame.y.from = top + kPlotHeight;
  frame.y.to = top;
  const double height = frame.y.from + 54;
  std::string out = fmt::format(
      "<svg class=\"plot\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n"
      "<text class=\"name\" x=\"4\" y=\"18\">{}</text>\n",
      kWidth, format_pixels(height), escape_html(chart.title),
      escape_html(shorten(chart.title, 60)));
  out += legend + draw_axes(chart, frame);
  for (const bool references : {true, false}) {
    for (const Look& look : looks) {
      if (look.series->is_reference == references) out += draw_series(chart, look, frame);
    }
  }
  return out + draw_note(chart, frame.y.from + 43) + "</svg>\n";
}

}  // namespace maskgrad
