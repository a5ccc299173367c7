// What recipes of causal language models share.
#pragma once

#include <span>
#include <string>
#include <vector>

#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/layers/transformer.hpp>

#include "recipes/recipe.hpp"

namespace maskgrad::apps {

/// The defaults of the settings of decoder blocks.
struct DecoderSettings {
  std::int64_t features, layers, heads;
  double dropout;
};
/// The settings `features`, `layers`, `heads`, `dropout`, `recompute` and `pack`.
std::vector<Setting> decoder_settings(const DecoderSettings& defaults);
/// All settings of a recipe of a causal language model: defaults for training, those of its own,
/// and decoder_settings(). Without `data` and `val` for one that draws its data.
std::vector<Setting> causal_settings(const std::string& recipe, std::vector<Setting> training,
                                     const std::vector<Setting>& own,
                                     const DecoderSettings& defaults,
                                     DataSource source = DataSource::kFolder);
/// Whether a head has any width, or a width of pairs, as rotary positions need it.
enum class HeadWidth { kAny, kEven };
/// Throws Error "[recipe] --heads must cut --features into equal parts, and 3 does not cut 64 so".
void check_heads(const std::string& recipe, const Settings& settings, HeadWidth width);
/// The blocks that they ask for: pre-norm, with the branches scaled by their number.
TransformerOptions decoder_options(const Settings& settings);

/// A model of layers one after another, from tokens to the logits of the next one.
class CausalRecipeModel : public RecipeModel {
 public:
  Module& module() override { return layers_; }
  std::vector<LayerSummary> summarize(const Batch& batch) override;
  std::vector<std::string> explain_packing(const Batch& batch) override;
  /// Of the first 64 tokens at most.
  std::vector<ReportMask> attention_masks(const Batch& batch) override;

 protected:
  /// `padding` is the token that fills up the rows of a batch.
  explicit CausalRecipeModel(std::int64_t padding) : padding_(padding) {}

  /// A token as text of one line, for the report.
  virtual std::string label(std::int64_t token) const = 0;
  /// The same of the first token that the model reads.
  virtual std::string first_label(std::int64_t token) const { return label(token); }

  /// The inputs of a batch with the mask of those that exist.
  Variable tokens_of(const Batch& batch) const;
  LanguageModel language_model();
  /// Tokens of which the first `given` were given, to be read in one pass.
  Reading reading_of(std::span<const std::int64_t> tokens, std::int64_t given);
  /// The logits behind each of the tokens: [S, V].
  Tensor logits_of(std::span<const std::int64_t> tokens);

  Sequential& layers() { return layers_; }

 private:
  /// The labels of the tokens that the model reads, in order.
  std::vector<std::string> labels_of(std::span<const std::int64_t> tokens) const;

  std::int64_t padding_;
  Sequential layers_;
};

}  // namespace maskgrad::apps
