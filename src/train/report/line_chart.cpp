#include <algorithm>
#include <cmath>
#include <cstdint>

#include <fmt/format.h>

#include <maskgrad/train/report/chart_frame.hpp>
#include <maskgrad/train/report/html.hpp>

namespace maskgrad {
namespace {

constexpr double kLegendTop = 40;
constexpr double kLegendRow = 24;
constexpr std::size_t kMaxName = 40;
constexpr std::size_t kMaxMarkers = 60;  // of a series: beyond, every n-th point has one

constexpr std::size_t kMaxCover = 3;  // wider than this, a band would hide the others

/// How a series is drawn.
struct Look {
  const PlotSeries* series;
  std::size_t place;      // among the series of its kind
  std::size_t cover = 0;  // how many later series lie on this one, up to kMaxCover
};

std::string css_of(const Look& look) {
  if (look.series->is_reference) return fmt::format("ref r{}", look.place % 3);
  return fmt::format("s{}{}", look.place % kPlotColors, look.cover > 0 ? " band" : "");
}

double line_width(const Look& look) {
  if (look.series->is_reference) return 1.6;
  return 2.2 + 5.0 * static_cast<double>(look.cover);
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

/// A cell of the legend: `mark` draws what stands before the name, at x and y.
template <class Mark>
void add_to_legend(std::string& out, const std::string& css, const std::string& name, double& x,
                   double& y, Mark mark) {
  const double width = 60 + kLetter * static_cast<double>(characters_in(name));
  if (x > 4 && x + width > kWidth) {
    x = 4;
    y += kLegendRow;
  }
  out += fmt::format(R"(<g class="{}">)", css) + mark(x, y);
  out += fmt::format(R"(<text x="{}" y="{}">{}</text></g>)", format_pixels(x + 36),
                     format_pixels(y + 4.5), escape_html(name));
  out += '\n';
  x += width;
}

std::string legend_name(const PlotSeries& series) {
  const bool is_empty = std::none_of(series.points.begin(), series.points.end(),
                                     [](const PlotPoint& point) { return is_drawable(point); });
  return shorten(series.name, kMaxName) + (is_empty ? " (no values)" : "");
}

/// The legend's rows from kLegendTop on; moves `y` below them.
std::string draw_legend(const LineChart& chart, const std::vector<Look>& looks, double& y) {
  std::string out;
  double x = 4;
  y = kLegendTop;
  for (const Look& look : looks) {
    if (look.series->points.empty()) continue;
    add_to_legend(out, css_of(look), legend_name(*look.series), x, y, [&](double left, double at) {
      return fmt::format(R"(<path class="line" stroke-width="{}" d="M{},{}h26"/>)",
                         format_pixels(line_width(look)), format_pixels(left), format_pixels(at)) +
             marker(look, left + 13, at, R"( class="dot"/>)");
    });
  }
  for (const PlotBand& band : chart.bands) {
    add_to_legend(out, "ref", shorten(band.name, kMaxName), x, y, [](double left, double at) {
      return fmt::format(R"(<path class="area" d="M{},{}h26v12h-26z"/>)", format_pixels(left),
                         format_pixels(at - 6));
    });
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
  out +=
      fmt::format(R"(<text class="label" x="4" y="{}">{}{}</text>)", format_pixels(frame.y.to - 20),
                  escape_html(chart.y_label), frame.y.is_log ? ", logarithmic" : "");
  return out + "\n";
}

/// The area of a band, without places where one of its sides cannot be drawn.
std::string draw_band(const PlotBand& band, const Frame& frame) {
  const std::size_t size = std::min({band.x.size(), band.low.size(), band.high.size()});
  std::string there, back;
  for (std::size_t i = 0; i < size; ++i) {
    const PlotPoint low{band.x[i], band.low[i]}, high{band.x[i], band.high[i]};
    if (!is_drawable(low) || !is_drawable(high)) continue;
    const std::string x = format_pixels(frame.x(low.x));
    there += fmt::format("{}{},{}", there.empty() ? 'M' : 'L', x, format_pixels(frame.y(high.y)));
    back = fmt::format("L{},{}", x, format_pixels(frame.y(low.y))) + back;
  }
  if (there.empty()) return "";
  return fmt::format(
      "<g class=\"ref\"><path class=\"area\" d=\"{}{}z\"><title>{}</title></path></g>\n", there,
      back, escape_html(shorten(band.name, kMaxName)));
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

/// A sentence about the values that were left out; "" when there are none.
std::string draw_note(const LineChart& chart, double y, bool is_log) {
  std::int64_t left_out = 0;
  for (const PlotSeries& series : chart.series) {
    left_out += std::count_if(series.points.begin(), series.points.end(),
                              [](const PlotPoint& point) { return !is_drawable(point); });
  }
  if (left_out == 0) return "";
  return fmt::format("<text class=\"label\" x=\"4\" y=\"{}\">Not drawn: {} {} {}.</text>\n",
                     format_pixels(y), left_out,
                     left_out == 1 ? "value that is" : "values that are",
                     is_log ? "0 or not finite" : "not finite");
}

}  // namespace

std::string draw(const LineChart& given) {
  Frame frame = frame_of(given);
  const LineChart chart = frame.y.is_log ? without_zeros(given) : given;
  const std::vector<Look> looks = looks_of(chart, frame);
  double top = 0;
  const std::string legend = draw_legend(chart, looks, top);
  top += 30;
  frame.y.from = top + kPlotHeight;
  frame.y.to = top;
  const double height = frame.y.from + 54;
  std::string out = fmt::format(
      "<svg class=\"plot\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n"
      "<text class=\"name\" x=\"4\" y=\"18\">{}</text>\n",
      kWidth, format_pixels(height), escape_html(chart.title),
      escape_html(shorten(chart.title, 60)));
  out += legend;
  for (const PlotBand& band : chart.bands) out += draw_band(band, frame);
  out += draw_axes(chart, frame);
  for (const bool references : {true, false}) {
    for (const Look& look : looks) {
      if (look.series->is_reference == references) out += draw_series(chart, look, frame);
    }
  }
  return out + draw_note(chart, frame.y.from + 43, frame.y.is_log) + "</svg>\n";
}

}  // namespace maskgrad
