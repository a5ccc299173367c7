#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <maskgrad/train/formats/utf8.hpp>
#include <maskgrad/train/report/html.hpp>

namespace maskgrad {
namespace {

constexpr const char* kReplacement = "\xEF\xBF\xBD";  // U+FFFD

void append_escaped(std::string& out, char c) {
  switch (c) {
    case '&':
      out += "&amp;";
      break;
    case '<':
      out += "&lt;";
      break;
    case '>':
      out += "&gt;";
      break;
    case '"':
      out += "&quot;";
      break;
    case '\'':
      out += "&#39;";
      break;
    default: {
      const auto byte = static_cast<unsigned char>(c);
      const bool control = (byte < 0x20 && c != '\t' && c != '\n') || byte == 0x7F;
      if (control)
        out += kReplacement;
      else
        out += c;
    }
  }
}

bool starts_character(char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }

std::string open_tag(const char* name, const std::string& css, const char* attributes = "") {
  if (css.empty()) return fmt::format("<{}{}>", name, attributes);
  return fmt::format("<{}{} class=\"{}\">", name, attributes, escape_html(css));
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t sound = utf8_prefix(text);
    for (const char c : text.substr(0, sound)) append_escaped(out, c);
    if (sound < text.size()) out += kReplacement;
    text.remove_prefix(std::min(sound + 1, text.size()));
  }
  return out;
}

std::string shorten(std::string_view text, std::size_t limit) {
  std::size_t characters = 0, cut = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!starts_character(text[i])) continue;
    if (++characters == limit) cut = i;
  }
  if (characters <= limit) return std::string(text);
  return std::string(text.substr(0, cut)) + "…";
}

std::size_t characters_in(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, starts_character));
}

std::string format_number(double value) {
  if (std::isnan(value)) return "nan";
  const double size = std::abs(value);
  if (std::isinf(value) || size == 0 || (size >= 1e-3 && size < 1e6)) {
    return fmt::format("{:.4f}", value == 0 ? 0.0 : value);
  }
  return fmt::format("{:.3e}", value);
}

std::string format_difference(double value) {
  if (!std::isfinite(value) || value == 0) return format_number(value);
  const double size = std::abs(value);
  // Four decimals like the numbers themselves, unless they would look like no difference at all.
  if (size >= 5e-5 && size < 1e6) return fmt::format("{:+.4f}", value);
  return fmt::format("{:+.1e}", value);
}

void HtmlTable::add_row(std::vector<HtmlCell> cells, std::string css) {
  body_ += open_tag("tr", css);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const bool heading = i == 0;
    body_ += open_tag(heading ? "th" : "td", cells[i].css, heading ? " scope=\"row\"" : "");
    body_ += escape_html(cells[i].text) + (heading ? "</th>" : "</td>");
  }
  body_ += "</tr>\n";
}

std::string HtmlTable::html() const {
  std::string out =
      "<div class=\"scroll\" tabindex=\"0\">" + open_tag("table", css_) + "<thead><tr>";
  for (const HtmlCell& cell : header_) {
    out += open_tag("th", cell.css, " scope=\"col\"") + escape_html(cell.text) + "</th>";
  }
  return out + "</tr></thead>\n<tbody>\n" + body_ + "</tbody></table></div>\n";
}

}  // namespace maskgrad
