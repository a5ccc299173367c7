#include "cli/text_stream.hpp"

#include <algorithm>
#include <utility>

#include <maskgrad/train/formats/utf8.hpp>

#include "cli/text.hpp"

namespace maskgrad::apps {

std::string TextStream::take(std::string_view piece) {
  held_ += piece;
  const std::string text = std::exchange(held_, {});
  const std::size_t whole = text.size() - unfinished_character(text);
  held_ = text.substr(whole);
  return shown(std::string_view(text).substr(0, whole));
}

std::string TextStream::finish() { return shown(std::exchange(held_, {})); }

std::string TextStream::shown(std::string_view text) const {
  if (to_ == To::kFile) return std::string(text);
  std::string safe;
  while (!text.empty()) {
    const std::size_t size = std::min(text.find_first_of("\n\t"), text.size());
    safe += one_line(text.substr(0, size));
    if (size < text.size()) safe += text[size];
    text.remove_prefix(std::min(size + 1, text.size()));
  }
  return safe;
}

}  // namespace maskgrad::apps
