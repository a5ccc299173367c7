// Text and tables of HTML pages, written so that an XML parser accepts them too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace maskgrad {

/// `text` with & < > " ' as entities, for content and quoted attributes. Bytes that are not UTF-8
/// and control characters other than tab and newline become U+FFFD.
std::string escape_html(std::string_view text);

/// `text` when it has at most `limit` characters, else its first `limit - 1` and an ellipsis.
/// Counts UTF-8 characters; not escaped.
std::string shorten(std::string_view text, std::size_t limit);

/// UTF-8 characters of a text.
std::size_t characters_in(std::string_view text);

/// For people: "1.7373", "2.500e-07", "nan", "inf". Four
/// decimals, or four digits with an exponent where those would show too little or too much.
std::string format_number(double value);
/// With a sign and four decimals, "+0.0031", or "+3.1e-07" where those would show too little or too
/// much; "0.0000" only for no difference at all.
std::string format_difference(double value);

/// A cell's text, not yet escaped, and the CSS classes it carries.
struct HtmlCell {
  HtmlCell(std::string content, std::string classes = {})
      : text(std::move(content)), css(std::move(classes)) {}
  HtmlCell(const char* content) : text(content) {}

  std::string text;
  std::string css;
};

/// A table whose first row and first column are headings; a wide one scrolls by itself.
class HtmlTable {
 public:
  /// `css` are classes of the table.
  HtmlTable(std::string css, std::vector<HtmlCell> header)
      : css_(std::move(css)), header_(std::move(header)) {}

  /// `css` are classes of the row.
  void add_row(std::vector<HtmlCell> cells, std::string css = {});
  std::string html() const;

 private:
  std::string css_;
  std::vector<HtmlCell> header_;
  std::string body_;
};

}  // namespace maskgrad
