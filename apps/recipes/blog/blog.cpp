// The experiment of the article "Unified Adaptable Masking That Follows": reads `x=-12,y=24:y-x`,
// predicts the first character of the answer. 49,145 parameters: Masking, Embed 20x15, Reflect,
// Reshape, Dense 150 relu, Dense 20; cross-entropy, Adam, batches of 2.
#include <algorithm>

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/ops/math/activation.hpp>

#include "recipes/article/article_recipe.hpp"
#include "recipes/blog/article.hpp"

namespace maskgrad::apps {
namespace {

constexpr const char* kName = "blog";

class BlogModel : public ArticleModel {
 public:
  explicit BlogModel(const Settings& settings) : ArticleModel(kName, settings) {
    constexpr std::int64_t kHidden = 150;
    add<Dense>("dense", kArticleFeatures, kHidden, ops::relu);
    add<Dense>("dbd", kHidden, kArticleCharacters);
  }
};

class BlogRecipe : public ArticleRecipe {
 public:
  std::string name() const override { return kName; }
  std::string summary() const override {
    return "The article's experiment: x=-12,y=24:y-x -> first character of the answer";
  }

  std::vector<Setting> settings() const override {
    return article_settings(
        {Setting{"batch_size", std::int64_t{2}, ""}, Setting{"shuffle", false, ""}}, 0.0, {});
  }

  std::unique_ptr<RecipeModel> make_model(const Settings& settings) const override {
    return std::make_unique<BlogModel>(settings);
  }

  std::vector<ReferenceCurve> references(const Settings& settings,
                                         std::int64_t steps_in_epoch) const override {
    if (!is_as_in_the_article(settings, steps_in_epoch)) return {};
    return {article_curve()};
  }

 private:
  std::int64_t shards_made() const override { return 2; }

  // Whether a run repeats the article's but for its mask, its length and its random numbers.
  bool is_as_in_the_article(const Settings& settings, std::int64_t steps_in_epoch) const {
    constexpr std::int64_t kSteps = 1000;  // 2,000 samples in batches of 2
    const Settings defaults(this->settings());
    const auto is_default = [&](const char* key) {
      return to_string(settings.setting(key).value) == to_string(defaults.setting(key).value);
    };
    constexpr const char* kKeys[] = {"batch_size", "lr",  "schedule",  "warmup_steps",
                                     "clip_norm",  "ema", "optimizer", "beta2",
                                     "shuffle",    "init"};
    return steps_in_epoch == kSteps && std::ranges::all_of(kKeys, is_default) &&
           (known_max_val(settings) == 0 || is_default("max_val"));
  }
};

const bool kRegistered = register_recipe(std::make_unique<BlogRecipe>());

}  // namespace
}  // namespace maskgrad::apps
