#include "recipes/causal_recipe.hpp"

#include <algorithm>
#include <utility>

#include <maskgrad/tensor/autograd/tape.hpp>

namespace maskgrad::apps {

std::vector<Setting> decoder_settings(const DecoderSettings& defaults) {
  return {
      Setting{"features", defaults.features, "width of the model"}.at_least(1).at_most(1 << 16),
      Setting{"layers", defaults.layers, "decoder blocks"}.at_least(1).at_most(1000),
      Setting{"heads", defaults.heads, "heads of attention; they divide the width"}
          .at_least(1)
          .at_most(1 << 16),
      Setting{"dropout", defaults.dropout, "share of what each branch adds that is dropped"}
          .at_least(0)
          .at_most(0.999),
      Setting{"recompute", false,
              "compute blocks again in the backward pass: less memory, more time, the same bits"}
          .changeable()
          .without_effect(),
      pack_setting("auto")};
}

std::vector<Setting> causal_settings(const std::string& recipe, std::vector<Setting> training,
                                     const std::vector<Setting>& own,
                                     const DecoderSettings& defaults, DataSource source) {
  const std::vector<Setting> of_decoder = decoder_settings(defaults);
  training.insert(training.end(), own.begin(), own.end());
  training.insert(training.end(), of_decoder.begin(), of_decoder.end());
  return recipe_settings(recipe, std::move(training), source);
}

void check_heads(const std::string& recipe, const Settings& settings, HeadWidth width) {
  const std::int64_t features = settings.integer("features"), heads = settings.integer("heads");
  const bool is_even = width == HeadWidth::kEven;
  check(features % heads == 0 && (!is_even || features / heads % 2 == 0), recipe.c_str(),
        "--heads must cut --features into equal{} parts, and {} does not cut {} so",
        is_even ? " and even" : "", heads, features);
}

TransformerOptions decoder_options(const Settings& settings) {
  return {.features = settings.integer("features"),
          .heads = settings.integer("heads"),
          .layers = settings.integer("layers"),
          .dropout = settings.real("dropout"),
          .scaled_residual = true,
          .recompute = settings.flag("recompute")};
}

std::vector<LayerSummary> CausalRecipeModel::summarize(const Batch& batch) {
  return layers_.summarize(tokens_of(batch));
}

std::vector<std::string> CausalRecipeModel::explain_packing(const Batch& batch) {
  std::vector<std::string> lines;
  for (const PackingSummary& summary : layers_.explain_packing(tokens_of(batch))) {
    lines.push_back(to_string(summary));
  }
  return lines;
}

std::vector<ReportMask> CausalRecipeModel::attention_masks(const Batch& batch) {
  constexpr std::int64_t kMost = 64;
  const std::span<const std::int64_t> row =
      batch.inputs.values<std::int64_t>().first(static_cast<std::size_t>(batch.inputs.dim(1)));
  const auto all = std::ranges::find(row, padding_) - row.begin();
  const std::int64_t length = std::min<std::int64_t>(all, kMost);
  if (length == 0) return {};
  Pass pass;
  const Variable tokens(batch.inputs.view(0, {1, length}));
  const ops::AttentionPlan plan = pass.attention(tokens, AttentionKind::kCausal);
  ReportMask mask{"decoder", plan.pairs(), {}};
  if (length < all) mask.note = fmt::format("The first {} of {} positions.", length, all);
  mask.labels = labels_of(row.first(static_cast<std::size_t>(length)));
  return {mask};
}

std::vector<std::string> CausalRecipeModel::labels_of(std::span<const std::int64_t> tokens) const {
  std::vector<std::string> labels;
  for (const std::int64_t token : tokens) {
    labels.push_back(labels.empty() ? first_label(token) : label(token));
  }
  return labels;
}

Variable CausalRecipeModel::tokens_of(const Batch& batch) const {
  return Variable(batch.inputs, Variable::kConstant,
                  SequenceMask::from_tokens(batch.inputs, padding_));
}

LanguageModel CausalRecipeModel::language_model() {
  return [this](const Variable& tokens, Pass& pass) { return layers_(tokens, pass); };
}

Reading CausalRecipeModel::reading_of(std::span<const std::int64_t> tokens, std::int64_t given) {
  Reading reading = {
      .labels = labels_of(tokens), .given = given, .position = std::ssize(tokens) - 1};
  reading.batch.inputs = Tensor::from(tokens, {1, std::ssize(tokens)});
  reading.run = [this, inputs = reading.batch.inputs](Pass& pass) {
    layers_(Variable(inputs), pass);
  };
  return reading;
}

Tensor CausalRecipeModel::logits_of(std::span<const std::int64_t> tokens) {
  const NoGrad no_grad;
  Pass pass;
  const std::int64_t length = std::ssize(tokens);
  const Tensor logits = layers_(Variable(Tensor::from(tokens, {1, length})), pass).value();
  return logits.view(0, {length, logits.dim(2)});
}

}  // namespace maskgrad::apps
