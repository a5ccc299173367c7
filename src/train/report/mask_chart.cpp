#include <algorithm>

#include <fmt/format.h>

#include <maskgrad/train/report/html.hpp>
#include <maskgrad/train/report/matrix_chart.hpp>
#include <maskgrad/train/report/svg_plot.hpp>

namespace maskgrad {
namespace {

constexpr std::int64_t kLeft = kMatrixLeft, kTop = kMatrixTop;

std::string label(const char* css, std::int64_t x, std::int64_t y, const std::string& text) {
  return fmt::format("<text class=\"{}\" x=\"{}\" y=\"{}\">{}</text>\n", css, x, y,
                     escape_html(shorten(text, 7)));
}

// A rectangle for each run of kept keys.
std::string kept_cells(const AttentionMask& mask, std::int64_t queries, std::int64_t keys) {
  const std::int64_t cell = matrix_cell(queries, keys);
  std::string cells;
  for (std::int64_t s = 0; s < queries; ++s) {
    mask.for_each_run(0, 0, s, [&](std::int64_t lo, std::int64_t hi) {
      hi = std::min(hi, keys);
      if (lo >= hi) return;
      cells += fmt::format("<rect class=\"kept\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\n",
                           kLeft + lo * cell, kTop + s * cell + 1, (hi - lo) * cell - 1, cell - 1);
    });
  }
  return cells;
}

std::string labels(const MaskChart& chart, std::int64_t queries, std::int64_t keys) {
  const std::int64_t cell = matrix_cell(queries, keys);
  std::string text =
      label("label", kLeft + 6, kTop - 26, "keys") + label("label", 4, kTop - 26, "queries");
  for (std::size_t t = 0; t < chart.keys.size() && static_cast<std::int64_t>(t) < keys; ++t) {
    text += label("tick mid", kLeft + static_cast<std::int64_t>(t) * cell + cell / 2, kTop - 8,
                  shorten(chart.keys[t], 2));
  }
  for (std::size_t s = 0; s < chart.queries.size() && static_cast<std::int64_t>(s) < queries; ++s) {
    text += label("tick end", kLeft - 8, kTop + static_cast<std::int64_t>(s) * cell + cell - 1,
                  shorten(chart.queries[s], 4));
  }
  return text;
}

}  // namespace

std::string draw(const MaskChart& chart) {
  check(chart.mask.defined(), "report", "a mask that says nothing cannot be drawn");
  const std::int64_t queries = std::min(chart.mask.shape()[2], kMostDrawnPositions);
  const std::int64_t keys = std::min(chart.mask.shape()[3], kMostDrawnPositions);
  const std::int64_t cell = matrix_cell(queries, keys);
  return fmt::format(
      "{}<rect class=\"all\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\n{}{}</svg>\n",
      matrix_start({"", chart.title, chart.color, queries, keys}), kLeft, kTop + 1,
      keys * cell - (keys > 0), queries * cell - (queries > 0), labels(chart, queries, keys),
      kept_cells(chart.mask, queries, keys));
}

}  // namespace maskgrad
