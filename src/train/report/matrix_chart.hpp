// What the pictures of masks and of weights share: a line for each query, a column for each key.
// They are drawn at one size, so that their text is as large as the page's: a page does not scale
// them, and a card that is too narrow scrolls. Internal to src/train/report.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include <maskgrad/tensor/mask/attention_mask.hpp>
#include <maskgrad/train/report/svg_plot.hpp>

namespace maskgrad {

/// The positions that are drawn, from `first` to the one before `end`.
struct DrawnPositions {
  std::int64_t first = 0, end = 0;

  std::int64_t count() const { return end - first; }
};
/// Of so many positions the first, or the last, that a picture has room for.
DrawnPositions first_drawn(std::int64_t positions);
DrawnPositions last_drawn(std::int64_t positions);

/// Such a picture as it is drawn, in SVG elements and pixels.
class MatrixChart {
 public:
  /// A position as text.
  using Label = std::function<std::string(std::int64_t position)>;

  MatrixChart(DrawnPositions queries, DrawnPositions keys);

  const DrawnPositions& queries() const { return queries_; }
  const DrawnPositions& keys() const { return keys_; }
  /// The corner of the cell of key t and query s, and the size of each cell.
  std::int64_t x_of(std::int64_t t) const;
  std::int64_t y_of(std::int64_t s) const;
  std::int64_t size() const { return cell_ - 1; }

  /// The area of all pairs, and a rectangle for each run of keys that a head's mask keeps.
  std::string ground(const AttentionMask& mask, std::int64_t head) const;
  /// The labels of lines and columns, each cut to what it has room for.
  std::string labels(const Label& query, const Label& key) const;

  /// Whole, with `body` in it; `css` holds further classes, each behind a space. It is wide enough
  /// for its title.
  SizedSvg picture(const std::string& css, const std::string& title, std::size_t color,
                   const std::string& body) const;

 private:
  DrawnPositions queries_, keys_;
  std::int64_t cell_;
};

/// A card of a picture, with a note below it, an HTML fragment.
std::string matrix_card(const SizedSvg& picture, const std::string& note);
/// Such cards beside each other, as many as fit.
std::string matrix_grid(const std::string& cards);

}  // namespace maskgrad
