#include "cli/attention_picture.hpp"

#include <algorithm>
#include <functional>
#include <sstream>
#include <utility>

#include <fmt/format.h>

#include <maskgrad/tensor/mask/explain.hpp>

#include "cli/text.hpp"

namespace maskgrad::apps {
namespace {

using ops::SeenAttention;

constexpr int kGreen = 32, kCyan = 36;
constexpr std::int64_t kLabel = 6, kStripEnd = 16, kMostOfMask = 24;

// A weight below a limit gets its shade, any above the last one.
struct Shade {
  double below;
  const char *unicode, *ascii;
};
constexpr Shade kShades[] = {
    {0.05, "·", "."}, {0.15, "░", ":"}, {0.35, "▒", "+"}, {0.65, "▓", "*"}, {2, "█", "#"}};

double weight_at(const Tensor& weights, std::int64_t h, std::int64_t s, std::int64_t t) {
  const std::int64_t at = (h * weights.dim(2) + s) * weights.dim(3) + t;
  return weights.view(at, {}).item();
}

}  // namespace

// What a matrix shows.
struct AttentionPicture::Cells {
  std::string title;
  Shape pairs;         // [.., .., S, T]
  std::int64_t width;  // of a cell
  int color;
  std::function<std::string(std::int64_t s, std::int64_t t)> cell;
};

std::string AttentionPicture::bold(const std::string& text) const { return colored(text, 1); }

std::string AttentionPicture::colored(std::string_view text, int color) const {
  return look_.color ? fmt::format("\x1b[{}m{}\x1b[0m", color, text) : std::string(text);
}

// In one column.
std::string AttentionPicture::token(std::int64_t position) const {
  const std::string& label = input_.tokens[static_cast<std::size_t>(position)];
  if (label == kStartLabel) return look_.unicode ? "⊢" : "^";
  if (label == " " || label == "space") return look_.unicode ? "␣" : "_";
  if (label == "\\x0a") return look_.unicode ? "↵" : "/";
  const bool is_plain = label.size() == 1 && label[0] > ' ' && label[0] < 0x7f;
  return is_plain ? label : "?";
}

std::string AttentionPicture::quoted(std::int64_t position) const {
  if (input_.tokens[static_cast<std::size_t>(position)] == kStartLabel) return kStartLabel;
  return "'" + token(position) + "'";
}

std::string AttentionPicture::token_legend() const {
  std::string text;
  const auto add = [&](const char* what, const char* means) {
    for (std::int64_t i = 0; i < input_.length(); ++i) {
      if (token(i) != what || input_.tokens[static_cast<std::size_t>(i)] == what) continue;
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", what, means);
      return;
    }
  };
  add(look_.unicode ? "⊢" : "^", "is the start of a document");
  add(look_.unicode ? "␣" : "_", "is a space");
  add(look_.unicode ? "↵" : "/", "ends a line");
  add("?", "is a token that is no character");
  return text;
}

std::string AttentionPicture::token_rows(std::int64_t first, std::int64_t end) const {
  std::string tens, units, tokens, exist, written;
  for (std::int64_t i = first; i < end; ++i) {
    const std::string number = std::to_string(i);
    if (i % 10 == 0) tens += number + std::string(10 - number.size(), ' ');
    units += number.back();
    tokens += token(i);
    exist += input_.is_there(i) ? '#' : '.';
    written += i >= input_.given && input_.is_there(i) ? '#' : '.';
  }
  tens.erase(tens.find_last_not_of(' ') + 1);
  std::string text = fmt::format("position  {}\n          {}\ntoken     {}\n", tens, units, tokens);
  if (input_.existing() < input_.length()) {
    text += fmt::format("exists    {}\n", colored(exist, kGreen));
  }
  if (input_.given < input_.existing()) {
    text += fmt::format("written   {}\n", colored(written, kGreen));
  }
  return text;
}

std::string AttentionPicture::key_label(const Shape& pairs, std::int64_t t) const {
  return pairs[3] == input_.length() ? token(t) : std::to_string(t % 10);
}

std::string AttentionPicture::shade(bool kept, double weight) const {
  if (!kept) return " ";
  const auto* found =
      std::ranges::find_if(kShades, [&](const Shade& s) { return weight < s.below; });
  if (found == std::end(kShades)) return "!";  // NaN
  return look_.unicode ? found->unicode : found->ascii;
}

std::string AttentionPicture::legend() const {
  std::string text = "weights:";
  for (const Shade& shade : kShades) {
    const char* const character = look_.unicode ? shade.unicode : shade.ascii;
    text += shade.below > 1 ? fmt::format(" {} above;", character)
                            : fmt::format(" {} to {:g},", character, shade.below);
  }
  return text + " blank: not kept";
}

// How many cells a line holds behind its label.
std::int64_t AttentionPicture::room(std::int64_t cell) const {
  return std::max<std::int64_t>(1, (look_.columns - kLabel) / cell);
}

bool AttentionPicture::cuts(std::int64_t positions) const { return positions > room(1); }

// A picture of a title, with a note below it.
Picture AttentionPicture::headed(const std::string& title, const std::string& note) const {
  const auto columns = static_cast<std::size_t>(look_.columns);
  Picture picture;
  for (const std::string& line : wrapped(title, columns)) picture.lines.push_back(bold(line));
  if (note.empty()) return picture;
  for (std::string& line : wrapped(note, columns)) picture.lines.push_back(std::move(line));
  return picture;
}

Picture AttentionPicture::matrix(const Cells& cells) const {
  const std::int64_t queries = cells.pairs[2], keys = cells.pairs[3];
  const std::int64_t first_key = std::max<std::int64_t>(0, keys - room(cells.width)),
                     first_query = std::max<std::int64_t>(0, queries - room(cells.width));
  const auto last = [](std::int64_t first, std::int64_t all, const char* of) {
    return first > 0 ? fmt::format("the last {} of {} {}", all - first, all, of) : std::string();
  };
  const std::string of_keys = last(first_key, keys, "keys");
  Picture picture =
      headed(cells.title, of_keys.empty() ? last(first_query, queries, "queries") : of_keys);
  const std::string gap(static_cast<std::size_t>(cells.width - 1), ' ');
  std::string header(kLabel, ' ');
  for (std::int64_t t = first_key; t < keys; ++t) header += key_label(cells.pairs, t) + gap;
  picture.lines.push_back(header);
  for (std::int64_t s = first_query; s < queries; ++s) {
    std::string row;
    for (std::int64_t t = first_key; t < keys; ++t) row += cells.cell(s, t);
    const std::string label = queries == input_.length() ? token(s) : std::string(" ");
    picture.lines.push_back(fmt::format("{:>3} {} ", s, label) + colored(row, cells.color));
  }
  return picture;
}

Picture AttentionPicture::mask(const MaskInUse& mask, const std::string& users) const {
  const Shape& pairs = mask.pairs.shape();
  const std::string title = fmt::format("mask of {}{}", users, pairs[1] > 1 ? ", head 0" : "");
  if (std::max(pairs[2], pairs[3]) > kMostOfMask) return blocks(mask.pairs, title);
  return matrix({title, pairs, 1, kGreen, [&](std::int64_t s, std::int64_t t) {
                   return mask.pairs.keeps(0, 0, s, t) ? "#" : ".";
                 }});
}

Picture AttentionPicture::blocks(const AttentionMask& pairs, const std::string& title) const {
  const std::int64_t longest = std::max(pairs.shape()[2], pairs.shape()[3]),
                     size = (longest + kMostOfMask - 1) / kMostOfMask;
  Picture picture =
      headed(title, fmt::format("a character for {0} x {0} pairs; + keeps some", size));
  std::istringstream lines(draw(pairs, 0, 0, kMostOfMask));
  for (std::string line; std::getline(lines, line);) {
    picture.lines.push_back(std::string(kLabel, ' ') + colored(line, kGreen));
  }
  return picture;
}

Picture AttentionPicture::weights(const SeenAttention& seen, std::size_t layer,
                                  std::int64_t h) const {
  const Shape& pairs = seen.weights.shape();
  const bool is_wide = 2 * pairs[3] + kLabel <= look_.columns * 5 / 8;
  const std::string name = seen.layer.empty() ? "attention" : one_line(seen.layer);
  const bool is_only = pairs[1] == 1 && input_.attention.size() == 1;
  const std::string title =
      is_only ? "weights of " + name
              : fmt::format("layer {} head {}{}", layer, h, pairs[3] > 24 ? ": " + name : "");
  return matrix({title, pairs, is_wide ? 2 : 1, kCyan, [&](std::int64_t s, std::int64_t t) {
                   const std::string one =
                       shade(seen.pairs.keeps(0, h, s, t), weight_at(seen.weights, h, s, t));
                   return is_wide ? one + one : one;
                 }});
}

bool AttentionPicture::is_narrow() const { return look_.columns < 40; }

// Of "layer 0  head 1  ", or of what a narrow terminal has room for.
std::int64_t AttentionPicture::strip_label() const { return is_narrow() ? 8 : 17; }

std::int64_t AttentionPicture::strip_keys(std::int64_t keys) const {
  return std::min(keys, std::max<std::int64_t>(1, look_.columns - strip_label() - kStripEnd));
}

std::string AttentionPicture::strip_header() const {
  const std::int64_t shown = strip_keys(input_.length());
  std::string text;
  if (shown < input_.length()) {
    text = fmt::format("the last {} of {} keys\n", shown, input_.length());
  }
  text += fmt::format("{:{}}", is_narrow() ? "l., h." : "", strip_label());
  for (std::int64_t t = input_.length() - shown; t < input_.length(); ++t) text += token(t);
  return text + "  largest\n";
}

std::string AttentionPicture::strip(const SeenAttention& seen, std::size_t layer, std::int64_t h,
                                    std::int64_t s) const {
  std::string text = fmt::format(
      "{:{}}",
      is_narrow() ? fmt::format("{}, {}", layer, h) : fmt::format("layer {:<2} head {}", layer, h),
      strip_label());
  const Shape& pairs = seen.weights.shape();
  if (!input_.is_within(seen)) {
    const std::string numbers = fmt::format("from {} to {}", pairs[2], pairs[3]);
    const std::string whole = "attends " + numbers + " positions";
    const bool fits = std::cmp_less_equal(text.size() + whole.size(), look_.columns);
    return text + (fits ? whole : numbers) + "\n";
  }
  std::int64_t largest = -1;
  std::string row;
  for (std::int64_t t = 0; t < pairs[3]; ++t) {
    const double weight = weight_at(seen.weights, h, s, t);
    if (weight > (largest < 0 ? 0 : weight_at(seen.weights, h, s, largest))) largest = t;
    if (t >= pairs[3] - strip_keys(pairs[3])) row += shade(seen.pairs.keeps(0, h, s, t), weight);
  }
  text += colored(row, kCyan);
  if (largest < 0) return text + "  nothing\n";
  return text + fmt::format("  {:>3} {} {:.2f}\n", largest, quoted(largest),
                            weight_at(seen.weights, h, s, largest));
}

std::string AttentionPicture::layer_name(std::size_t layer) const {
  constexpr std::size_t kMost = 14;
  constexpr std::string_view kUsual = ".attention";
  std::string name = one_line(input_.attention[layer].layer);
  if (name.empty()) return "attention";
  if (name.ends_with(kUsual)) name.resize(name.size() - kUsual.size());
  return name.size() > kMost ? ".." + name.substr(name.size() - kMost) : name;
}

}  // namespace maskgrad::apps
