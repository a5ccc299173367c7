// Pictures of characters, beside and below each other.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace maskgrad::apps {

/// Lines of text. They may hold ANSI colours, which take no room.
struct Picture {
  std::vector<std::string> lines = {};

  std::size_t width() const;
};

/// How many columns a line takes.
std::size_t shown_width(std::string_view line);

/// The pictures from left to right, and below where a line is full, with an empty line between.
std::string flow(const std::vector<Picture>& pictures, std::size_t columns);

}  // namespace maskgrad::apps
