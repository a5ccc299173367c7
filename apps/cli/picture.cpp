#include "cli/picture.hpp"

#include <algorithm>
#include <span>

#include "cli/text.hpp"

namespace maskgrad::apps {
namespace {

constexpr std::size_t kGap = 3;

// Pictures that fit beside each other.
std::string beside(std::span<const Picture> pictures) {
  std::size_t height = 0;
  for (const Picture& picture : pictures) height = std::max(height, picture.lines.size());
  std::string text;
  for (std::size_t i = 0; i < height; ++i) {
    std::string line;
    std::size_t room = 0;  // where the next picture begins
    for (const Picture& picture : pictures) {
      if (i < picture.lines.size() && !picture.lines[i].empty()) {
        line += std::string(room - shown_width(line), ' ') + picture.lines[i];
      }
      room += picture.width() + kGap;
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

}  // namespace

std::size_t Picture::width() const {
  std::size_t width = 0;
  for (const std::string& line : lines) width = std::max(width, shown_width(line));
  return width;
}

std::size_t shown_width(std::string_view line) {
  std::size_t width = 0;
  while (!line.empty()) {
    const std::size_t escape = std::min(line.find('\x1b'), line.size());
    width += count_characters(line.substr(0, escape));
    line.remove_prefix(escape);
    line.remove_prefix(line.empty() ? 0 : std::min(line.find('m'), line.size() - 1) + 1);
  }
  return width;
}

std::string flow(const std::vector<Picture>& pictures, std::size_t columns) {
  std::string text;
  for (std::size_t first = 0; first < pictures.size();) {
    std::size_t end = first + 1, width = pictures[first].width();
    while (end < pictures.size() && width + kGap + pictures[end].width() <= columns) {
      width += kGap + pictures[end++].width();
    }
    text += (first > 0 ? "\n" : "") + beside(std::span(pictures).subspan(first, end - first));
    first = end;
  }
  return text;
}

}  // namespace maskgrad::apps
