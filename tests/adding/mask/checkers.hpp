// A rule of row and column for fill_where().
#pragma once

#include <cstdint>

/// Fills every other square of `size` rows and columns, as on a chessboard.
struct Checkers {
  std::int64_t size;

  constexpr bool fills(std::int64_t row, std::int64_t column) const {
    return (row / size + column / size) % 2 == 1;
  }
};
