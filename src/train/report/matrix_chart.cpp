#include <algorithm>

#include <fmt/format.h>

#include <maskgrad/train/report/html.hpp>
#include <maskgrad/train/report/matrix_chart.hpp>

namespace maskgrad {
namespace {

constexpr std::int64_t kLeft = 50, kTop = 62;  // of the first cell
constexpr std::size_t kMostOfTitle = 40;       // characters
constexpr std::int64_t kLetter = 9;            // of a title, the widest that is usual
constexpr std::int64_t kEdges = 28;            // of a card: what it has left and right of a picture

// Of few positions they are larger.
std::int64_t cell_of(std::int64_t queries, std::int64_t keys) {
  constexpr std::int64_t kFew = 20;
  return std::max(queries, keys) <= kFew ? 13 : 11;
}

std::string rectangle(const char* css, std::int64_t x, std::int64_t y, std::int64_t width,
                      std::int64_t height) {
  return fmt::format("<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\n", css, x,
                     y, width, height);
}

std::string text_at(const char* css, std::int64_t x, std::int64_t y, const std::string& text) {
  if (text.empty()) return "";
  return fmt::format("<text class=\"{}\" x=\"{}\" y=\"{}\">{}</text>\n", css, x, y,
                     escape_html(text));
}

}  // namespace

DrawnPositions first_drawn(std::int64_t positions) {
  return {0, std::min(positions, kMostDrawnPositions)};
}

DrawnPositions last_drawn(std::int64_t positions) {
  return {std::max<std::int64_t>(0, positions - kMostDrawnPositions), positions};
}

MatrixChart::MatrixChart(DrawnPositions queries, DrawnPositions keys)
    : queries_(queries), keys_(keys), cell_(cell_of(queries.count(), keys.count())) {}

std::int64_t MatrixChart::x_of(std::int64_t t) const { return kLeft + (t - keys_.first) * cell_; }
std::int64_t MatrixChart::y_of(std::int64_t s) const {
  return kTop + (s - queries_.first) * cell_ + 1;
}

std::string MatrixChart::ground(const AttentionMask& mask, std::int64_t head) const {
  const auto length = [&](std::int64_t cells) {
    return std::max<std::int64_t>(0, cells * cell_ - 1);
  };
  std::string all =
      rectangle("all", kLeft, kTop + 1, length(keys_.count()), length(queries_.count()));
  for (std::int64_t s = queries_.first; s < queries_.end; ++s) {
    mask.for_each_run(0, head, s, [&](std::int64_t lo, std::int64_t hi) {
      lo = std::max(lo, keys_.first);
      hi = std::min(hi, keys_.end);
      if (lo < hi) all += rectangle("kept", x_of(lo), y_of(s), length(hi - lo), size());
    });
  }
  return all;
}

std::string MatrixChart::labels(const Label& query, const Label& key) const {
  std::string text =
      text_at("label", kLeft + 6, kTop - 26, "keys") + text_at("label", 4, kTop - 26, "queries");
  for (std::int64_t t = keys_.first; t < keys_.end; ++t) {
    text += text_at("tick mid", x_of(t) + cell_ / 2, kTop - 8, shorten(key(t), 2));
  }
  for (std::int64_t s = queries_.first; s < queries_.end; ++s) {
    text += text_at("tick end", kLeft - 8, y_of(s) + cell_ - 2, shorten(query(s), 4));
  }
  return text;
}

SizedSvg MatrixChart::picture(const std::string& css, const std::string& title, std::size_t color,
                              const std::string& body) const {
  const auto letters = static_cast<std::int64_t>(std::min(kMostOfTitle, characters_in(title)));
  const std::int64_t width = std::max(kLeft + keys_.count() * cell_ + 8, letters * kLetter + 8),
                     height = kTop + queries_.count() * cell_ + 8;
  std::string svg = fmt::format(
      "<svg class=\"plot mask{} s{}\" style=\"width:{}px\" viewBox=\"0 0 {} {}\" role=\"img\" "
      "aria-label=\"{}\">\n<text class=\"name\" x=\"4\" y=\"18\">{}</text>\n{}</svg>\n",
      css, color % kPlotColors, width, width, height, escape_html(title),
      escape_html(shorten(title, kMostOfTitle)), body);
  return {std::move(svg), width};
}

std::string matrix_card(const SizedSvg& picture, const std::string& note) {
  constexpr std::int64_t kLeast = 250;  // for notes
  return fmt::format(
      "<div class=\"card\" style=\"width:{}px\">\n<div class=\"scroll\" "
      "tabindex=\"0\">\n{}</div>\n{}"
      "</div>\n",
      std::max(kLeast, picture.width + kEdges), picture.svg, note);
}

std::string matrix_grid(const std::string& cards) {
  return "<div class=\"grid-of-masks\">\n" + cards + "</div>\n";
}

}  // namespace maskgrad
