// An explained input, drawn with characters.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <maskgrad/train/report/explained_input.hpp>

namespace maskgrad::apps {

/// What a terminal, or whoever reads the output, can show.
struct TextLook {
  std::int64_t columns = 80;
  bool unicode = true;  // else ASCII alone
  bool color = false;
};

/// What of the attention is drawn whole. Numbers count from 0.
struct ExplainChoice {
  std::optional<std::int64_t> layer, head;  // nothing: each in one line, if there are several
  std::optional<std::int64_t> position;     // the query of these lines
};

/// Throws UsageError "[usage] --layer must be 0 to 2, not 7" and so on for what is not there.
void check_choice(const ExplainedInput& input, const ExplainChoice& choice);

/// Tokens, masks, attention, work and answer. No line is wider than look.columns, or than 32
/// where that is more. What is cut for that is said.
std::string explain_as_text(const ExplainedInput& input, const ExplainChoice& choice,
                            const TextLook& look);

}  // namespace maskgrad::apps
