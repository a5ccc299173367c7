// What the pictures of masks and of weights share: a line for each query, a column for each key.
// They are drawn at one size, so that their text is as large as the page's: a page does not scale
// them, and a card that is too narrow scrolls. Internal to src/train/report.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace maskgrad {

/// Where the first cell is, in pixels.
inline constexpr std::int64_t kMatrixLeft = 50, kMatrixTop = 62;

/// The size of a cell of so many queries and keys, in pixels. Of few they are larger.
std::int64_t matrix_cell(std::int64_t queries, std::int64_t keys);

struct MatrixHead {
  std::string css;  ///< further classes, each behind a space
  std::string title;
  std::size_t color;
  std::int64_t queries, keys;
};
/// The width of such a picture, which holds its title, too. At most 128 queries and keys are drawn.
std::int64_t matrix_width(const MatrixHead& head);
/// Its beginning: <svg> and the title.
std::string matrix_start(const MatrixHead& head);

/// A card of a picture that is `width` wide, with a note below it, an HTML fragment.
std::string matrix_card(const std::string& svg, std::int64_t width, const std::string& note);
/// Such cards beside each other, as many as fit.
std::string matrix_grid(const std::string& cards);

}  // namespace maskgrad
