#include <algorithm>

#include <fmt/format.h>

#include <maskgrad/train/report/html.hpp>
#include <maskgrad/train/report/svg_plot.hpp>

namespace maskgrad {
namespace {

constexpr std::int64_t kCell = 14, kLeft = 58, kTop = 62;

std::string label(const char* css, std::int64_t x, std::int64_t y, const std::string& text) {
  return fmt::format("<text class=\"{}\" x=\"{}\" y=\"{}\">{}</text>\n", css, x, y,
                     escape_html(shorten(text, 7)));
}

// A rectangle for each run of kept keys.
std::string kept_cells(const AttentionMask& mask, std::int64_t queries, std::int64_t keys) {
  std::string cells;
  for (std::int64_t s = 0; s < queries; ++s) {
    mask.for_each_run(0, 0, s, [&](std::int64_t lo, std::int64_t hi) {
      hi = std::min(hi, keys);
      if (lo >= hi) return;
      cells +=
          fmt::format("<rect class=\"kept\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\n",
                      kLeft + lo * kCell, kTop + s * kCell + 1, (hi - lo) * kCell - 1, kCell - 1);
    });
  }
  return cells;
}

std::string labels(const MaskChart& chart, std::int64_t queries, std::int64_t keys) {
  std::string text =
      label("label", kLeft, kTop - 26, "keys") + label("label", 4, kTop - 8, "queries");
  for (std::size_t t = 0; t < chart.keys.size() && static_cast<std::int64_t>(t) < keys; ++t) {
    text += label("tick mid", kLeft + static_cast<std::int64_t>(t) * kCell + kCell / 2, kTop - 8,
                  shorten(chart.keys[t], 2));
  }
  for (std::size_t s = 0; s < chart.queries.size() && static_cast<std::int64_t>(s) < queries; ++s) {
    text += label("tick end", kLeft - 8, kTop + static_cast<std::int64_t>(s) * kCell + 12,
                  shorten(chart.queries[s], 4));
  }
  return text;
}

}  // namespace

std::string draw(const MaskChart& chart) {
  check(chart.mask.defined(), "report", "a mask that says nothing cannot be drawn");
  const std::int64_t queries = std::min(chart.mask.shape()[2], kMostDrawnPositions);
  const std::int64_t keys = std::min(chart.mask.shape()[3], kMostDrawnPositions);
  return fmt::format(
      "<svg class=\"plot mask s{}\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n"
      "<text class=\"name\" x=\"4\" y=\"18\">{}</text>\n"
      "<rect class=\"all\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\n{}{}</svg>\n",
      chart.color % kPlotColors, kLeft + keys * kCell + 8, kTop + queries * kCell + 8,
      escape_html(chart.title), escape_html(shorten(chart.title, 40)), kLeft, kTop + 1,
      keys * kCell - (keys > 0), queries * kCell - (queries > 0), labels(chart, queries, keys),
      kept_cells(chart.mask, queries, keys));
}

}  // namespace maskgrad
