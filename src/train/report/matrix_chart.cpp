#include <algorithm>

#include <fmt/format.h>

#include <maskgrad/train/report/html.hpp>
#include <maskgrad/train/report/matrix_chart.hpp>
#include <maskgrad/train/report/svg_plot.hpp>

namespace maskgrad {
namespace {

constexpr std::size_t kMostOfTitle = 40;  // characters
constexpr std::int64_t kLetter = 9;       // of a title, the widest that is usual
constexpr std::int64_t kEdges = 28;       // of a card: what it has left and right of a picture

}  // namespace

std::int64_t matrix_cell(std::int64_t queries, std::int64_t keys) {
  constexpr std::int64_t kFew = 20;
  return std::max(queries, keys) <= kFew ? 13 : 11;
}

std::int64_t matrix_width(const MatrixHead& head) {
  const std::int64_t queries = std::min(head.queries, kMostDrawnPositions),
                     keys = std::min(head.keys, kMostDrawnPositions);
  const auto letters = static_cast<std::int64_t>(std::min(kMostOfTitle, characters_in(head.title)));
  return std::max(kMatrixLeft + keys * matrix_cell(queries, keys) + 8, letters * kLetter + 8);
}

std::string matrix_start(const MatrixHead& head) {
  const std::int64_t width = matrix_width(head),
                     height = kMatrixTop + head.queries * matrix_cell(head.queries, head.keys) + 8;
  return fmt::format(
      "<svg class=\"plot mask{} s{}\" style=\"width:{}px\" viewBox=\"0 0 {} {}\" role=\"img\" "
      "aria-label=\"{}\">\n<text class=\"name\" x=\"4\" y=\"18\">{}</text>\n",
      head.css, head.color % kPlotColors, width, width, height, escape_html(head.title),
      escape_html(shorten(head.title, kMostOfTitle)));
}

std::string matrix_card(const std::string& svg, std::int64_t width, const std::string& note) {
  constexpr std::int64_t kLeast = 250;  // for notes
  return fmt::format(
      "<div class=\"card\" style=\"width:{}px\">\n<div class=\"scroll\" "
      "tabindex=\"0\">\n{}</div>\n{}"
      "</div>\n",
      std::max(kLeast, width + kEdges), svg, note);
}

std::string matrix_grid(const std::string& cards) {
  return "<div class=\"grid-of-masks\">\n" + cards + "</div>\n";
}

}  // namespace maskgrad
