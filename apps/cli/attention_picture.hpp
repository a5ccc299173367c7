// The tokens, masks and weights of attention, drawn with characters.
#pragma once

#include <string>
#include <string_view>

#include "cli/explain_text.hpp"
#include "cli/picture.hpp"

namespace maskgrad::apps {

/// Draws parts of one input. A picture has a line for each query and a column for each key. Of more
/// than the look has room for it shows the last ones, and says so.
class AttentionPicture {
 public:
  AttentionPicture(const ExplainedInput& input, const TextLook& look)
      : input_(input), look_(look) {}

  std::string bold(const std::string& text) const;
  /// A token in one column.
  std::string token(std::int64_t position) const;
  /// The same in quotes, for sentences and beside numbers.
  std::string quoted(std::int64_t position) const;
  /// Numbers, tokens and, where that differs, which exist and which the model wrote; for positions
  /// [first, end).
  std::string token_rows(std::int64_t first, std::int64_t end) const;
  /// What stands for tokens that are no character, without an end of line; "" where there is none.
  std::string token_legend() const;
  /// Of more than 24 queries or keys a character shows several.
  Picture mask(const MaskInUse& mask, const std::string& users) const;
  /// Head h of call `layer`.
  Picture weights(const ops::SeenAttention& seen, std::size_t layer, std::int64_t h) const;
  /// The weights of query s in one line, and the largest; and the line of tokens above several.
  std::string strip(const ops::SeenAttention& seen, std::size_t layer, std::int64_t h,
                    std::int64_t s) const;
  std::string strip_header() const;
  /// Whether a picture of so many keys or queries shows the last ones alone.
  bool cuts(std::int64_t positions) const;
  /// What the shades mean.
  std::string legend() const;
  /// "reflect", "decoder.block0": short enough for a table.
  std::string layer_name(std::size_t layer) const;

 private:
  struct Cells;
  std::string colored(std::string_view text, int color) const;
  std::string key_label(const Shape& pairs, std::int64_t t) const;
  std::string shade(bool kept, double weight) const;
  bool is_narrow() const;
  std::int64_t strip_label() const;
  std::int64_t strip_keys(std::int64_t keys) const;
  std::int64_t room(std::int64_t cell) const;
  Picture headed(const std::string& title, const std::string& note = {}) const;
  Picture matrix(const Cells& cells) const;
  Picture blocks(const AttentionMask& pairs, const std::string& title) const;

  const ExplainedInput& input_;
  TextLook look_;
};

}  // namespace maskgrad::apps
