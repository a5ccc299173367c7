// A strict reader of markup, for tests of what the library writes.
#pragma once

#include <cctype>
#include <string>
#include <string_view>
#include <vector>

namespace maskgrad::test {

/// An element's opening tag, e.g. {"circle", ` cx="3" r="2"`}.
struct Tag {
  std::string name;
  std::string attributes;

  /// The value as written, entities and all; "" when there is no such attribute.
  std::string attribute(const std::string& key) const {
    const std::size_t at = attributes.find(" " + key + "=\"");
    if (at == std::string::npos) return "";
    const std::size_t begin = at + key.size() + 3;
    return attributes.substr(begin, attributes.find('"', begin) - begin);
  }
};

/// What is wrong with a document's markup by the rules of XML: tags that do not nest, attributes
/// without quotes, a bare '<' or '&'. "" when nothing is. Collects the opening tags.
class MarkupReader {
 public:
  explicit MarkupReader(std::string_view text) : text_(text) {
    while (fault_.empty() && at_ < text_.size()) {
      if (text_[at_] == '<')
        read_tag();
      else if (text_[at_] == '&')
        read_entity();
      else
        ++at_;
    }
    if (fault_.empty() && !open_.empty()) fault_ = "never closed: " + open_.back();
  }

  const std::string& fault() const { return fault_; }
  const std::vector<Tag>& tags() const { return tags_; }

 private:
  void fail(const std::string& what) {
    fault_ = what + " at: " + std::string(text_.substr(at_, 60));
  }

  void read_entity() {
    const std::size_t end = text_.find(';', at_);
    if (end == std::string_view::npos || end - at_ > 6) return fail("bare &");
    at_ = end + 1;
  }

  void read_tag() {
    if (text_.substr(at_).starts_with("<!DOCTYPE html>")) {
      at_ += 15;
      return;
    }
    std::size_t end = at_;
    for (bool quoted = false; end < text_.size() && (quoted || text_[end] != '>'); ++end) {
      if (text_[end] == '"') quoted = !quoted;
      if (end > at_ && text_[end] == '<') return fail("< in a tag");
    }
    if (end >= text_.size()) return fail("unfinished tag");
    std::string_view tag = text_.substr(at_ + 1, end - at_ - 1);
    const bool is_empty = tag.ends_with('/');
    if (is_empty) tag.remove_suffix(1);
    if (tag.starts_with('/')) {
      if (open_.empty() || open_.back() != tag.substr(1)) return fail("closes what is not open");
      open_.pop_back();
    } else {
      std::size_t name_end = 0;
      while (name_end < tag.size() && std::isalnum(static_cast<unsigned char>(tag[name_end])) != 0)
        ++name_end;
      if (name_end == 0 || !is_attribute_list(tag.substr(name_end))) return fail("no tag");
      tags_.push_back({std::string(tag.substr(0, name_end)), std::string(tag.substr(name_end))});
      if (!is_empty) open_.push_back(tags_.back().name);
    }
    at_ = end + 1;
  }

  static bool is_attribute_list(std::string_view text) {
    while (!text.empty()) {
      const std::size_t equals = text.find("=\"");
      if (text[0] != ' ' || equals == std::string_view::npos || equals < 2) return false;
      if (text.substr(1, equals - 1).find_first_of(" \"'") != std::string_view::npos) return false;
      const std::size_t end = text.find('"', equals + 2);
      if (end == std::string_view::npos) return false;
      text.remove_prefix(end + 1);
    }
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::string fault_;
  std::vector<std::string> open_;
  std::vector<Tag> tags_;
};

/// How often `part` occurs.
inline std::size_t count_of(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string_view::npos; ++at) ++count;
  return count;
}

}  // namespace maskgrad::test
