// The task of the article "Unified Adaptable Masking That Follows", for recipes that differ in what
// stands behind its attention: reads `x=-12,y=24:y-x`, predicts the first character of the answer.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <maskgrad/layers/sequential.hpp>

#include "recipes/recipe.hpp"

namespace maskgrad::apps {

/// What the layers behind the article's attention get: [B, kArticleFeatures], all positions of a
/// sample side by side.
inline constexpr std::int64_t kArticleFeatures = 20 * 15;
/// How many logits they give: one for each character.
inline constexpr std::int64_t kArticleCharacters = 20;

/// Masking, Embed 20x15, Reflect and Reshape, and the layers that a recipe adds to them.
class ArticleModel : public RecipeModel {
 public:
  Module& module() override { return model_; }
  Abilities abilities() const override { return {.takes_padding = true}; }
  void pad(std::int64_t positions) override;
  ModelOutput evaluate(const Batch& batch, Pass& pass) override;
  std::vector<LayerSummary> summarize(const Batch& batch) override;
  std::vector<std::string> explain_packing(const Batch& batch) override;
  std::vector<ReportMask> attention_masks(const Batch& batch) override;
  Reading read(const std::string& text) override;
  std::string sample_text() const override;
  Prediction predict(const std::string& text, const PredictOptions& options) override;

 protected:
  /// `recipe` is what errors call the model.
  ArticleModel(std::string recipe, const Settings& settings);

  /// Appends a layer, see Sequential::add().
  template <class L, class... Args>
  void add(const std::string& name, Args&&... args) {
    model_.add<L>(name, std::forward<Args>(args)...);
    behind_.push_back(name);
  }

 private:
  Batch question_of(const std::string& typed) const;
  Variable logits_of(const Tensor& tokens, Pass& pass);
  Tensor padded(const Tensor& tokens) const;

  std::string recipe_;
  std::int64_t max_val_;             // 0: not known
  std::int64_t padding_ = 0;         // positions behind those of a sample
  std::vector<std::string> behind_;  // the layers behind attention
  Sequential model_;
};

/// A recipe of such models, on shards of arithmetic.
class ArticleRecipe : public Recipe {
 public:
  void check_settings(const Settings& settings) const override;
  bool holds_out(const Settings& settings) const override;
  void write_data(const Settings& settings, const std::filesystem::path& folder) const override;
  std::unique_ptr<Dataset> load_data(const Settings& settings, const std::filesystem::path& folder,
                                     DataPart part) const override;
  std::vector<Question> questions(const Settings& settings) const override;

 protected:
  /// The settings of all recipes and those of this task, `val_share` as given, and the recipe's
  /// own.
  std::vector<Setting> article_settings(std::vector<Setting> defaults, double val_share,
                                        const std::vector<Setting>& own) const;
  /// How many shards it makes where the setting `shards` does not say.
  virtual std::int64_t shards_made() const = 0;
};

/// The setting max_val; 0 where the numbers of data that are given are not known.
std::int64_t known_max_val(const Settings& settings);

}  // namespace maskgrad::apps
