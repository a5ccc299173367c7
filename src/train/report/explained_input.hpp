// One input, and what a model made of it, ready to be shown: in a terminal, or in a report.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <maskgrad/ops/nn/attention_watch.hpp>

namespace maskgrad {

/// The label of a token that begins a document.
inline constexpr const char* kStartLabel = "start";

struct ExplainedInput {
  std::string text;                 // as it was asked
  std::vector<std::string> tokens;  // as which the model reads it, each as text of one line
  SequenceMask exists = {};         // [1, S]; undefined: all exist
  std::int64_t dropped = 0;         // of those that do not exist: by a mask that was learned
  std::int64_t given = 0;           // how many tokens were given; the model wrote those behind them
  std::int64_t unread = 0;          // tokens of the text before these, which the model did not read
  std::int64_t position = 0;        // the one whose attention tells most about the answer
  std::string position_does = {};   // why: "writes the first character of the answer"
  std::vector<ops::SeenAttention> attention = {};            // of a batch of one, in order
  std::string answers_are = {};                              // "first character of the answer"
  std::vector<std::pair<std::string, double>> answers = {};  // and their probabilities
  std::string steps = {};                                    // what the model wrote on the way
  std::string steps_are = "the model writes";                // or "the gate chooses"

  std::int64_t length() const { return static_cast<std::int64_t>(tokens.size()); }
  bool is_there(std::int64_t position_of) const;
  /// How many positions exist.
  std::int64_t existing() const;
  /// The most queries or keys of a call; 0 without attention.
  std::int64_t most_positions() const;
  /// Whether queries and keys of a call are these tokens, and not those of another sequence.
  bool is_within(const ops::SeenAttention& seen) const;
};

/// A mask, and the layers that attend under it.
struct MaskInUse {
  AttentionMask pairs;
  std::vector<std::string> layers;
  std::int64_t heads = 1;  // of a layer

  /// "all layers", "reflect", "decoder.block0.attention and 2 more".
  std::string users(std::size_t all_layers) const;
};
/// The different masks of an input's attention, in the order of their first use.
std::vector<MaskInUse> masks_in_use(const ExplainedInput& input);

/// What AttentionMask::recipe() says, in plain words: "existing & causal" is "positions that exist
/// attend to positions that exist; a position attends to itself and to those before it". Empty
/// where a rule has no words, and for rules that are united or turned around.
std::string mask_in_words(std::string_view recipe);

/// How much of the weight of the positions that exist goes to positions that do not, 0 to 1, over
/// all heads; 0 where all exist.
double weight_at_padding(const ExplainedInput& input, const ops::SeenAttention& seen);

/// Multiplications and additions of the pairs that a call computed, and of those it left out; and
/// which share of all pairs its mask keeps.
struct AttentionWork {
  std::int64_t done = 0, saved = 0;
  double kept_share = 0;
};
AttentionWork work_of(const ops::SeenAttention& seen);
/// The cells of a table of these, behind that of the layer: pairs kept, of how many, their share,
/// pairs computed, multiply-adds done, and saved.
std::vector<std::string> work_cells(const ops::SeenAttention& seen);

// Sentences.

/// "20 positions: 14 exist, 6 are padding." "20 positions: the learned mask keeps 8 and drops 12."
std::string about_tokens(const ExplainedInput& input);
/// "existing: positions that exist attend to positions that exist. Keeps 196 of 400 pairs (49 %)."
/// With several heads under one mask the pairs are those of each.
std::string about_mask(const MaskInUse& mask);
/// What a bias does to the weights of a call; "" where it has none.
std::string about_bias(const ops::SeenAttention& seen);
/// What the table of pairs counts, and why more may be computed than is kept; and what the layers
/// around attention compute, where some positions do not exist.
std::vector<std::string> about_work(const ExplainedInput& input);
/// What padding gets, in the layer where it gets most; "" where all positions exist.
std::string about_padding(const ExplainedInput& input);

}  // namespace maskgrad
