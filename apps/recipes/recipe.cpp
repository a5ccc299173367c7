#include "recipes/recipe.hpp"

#include <maskgrad/train/run/training_settings.hpp>

namespace maskgrad::apps {

namespace {

std::vector<std::unique_ptr<Recipe>>& registered() {
  static std::vector<std::unique_ptr<Recipe>> all;
  return all;
}

}  // namespace

bool register_recipe(std::unique_ptr<Recipe> recipe) {
  const auto at = std::lower_bound(
      registered().begin(), registered().end(), recipe->name(),
      [](const auto& other, const std::string& name) { return other->name() < name; });
  check(at == registered().end() || (*at)->name() != recipe->name(), "recipe",
        "there are two recipes called '{}'", recipe->name());
  registered().insert(at, std::move(recipe));
  return true;
}

const std::vector<std::unique_ptr<Recipe>>& recipes() { return registered(); }

const Recipe* find_recipe(const std::string& name) {
  for (const auto& recipe : recipes()) {
    if (recipe->name() == name) return recipe.get();
  }
  return nullptr;
}

std::vector<std::string> RecipeModel::explain_packing(const Batch&) { return {}; }
std::vector<ReportMask> RecipeModel::attention_masks(const Batch&) { return {}; }
std::vector<std::vector<ReportToken>> RecipeModel::kept_inputs() { return {}; }
std::optional<CausalModel> RecipeModel::causal_model(const Batch&) { return std::nullopt; }
std::optional<Examination> RecipeModel::examine(const ExamineOptions&) { return std::nullopt; }

Reading RecipeModel::read(const std::string&) {
  fail("explain", "the recipe does not tell how its model reads a text: see RecipeModel::read()");
}

void RecipeModel::write_on(std::string_view, GenerateOptions,
                           const std::function<bool(std::string_view)>&) {
  fail("generate", "the model answers questions and writes no texts: maskgrad predict asks it");
}

void RecipeModel::pad(std::int64_t) {
  fail("pad", "the recipe's model does not read samples of one length: there is no padding to add");
}

std::vector<ReferenceCurve> Recipe::references(const Settings&, std::int64_t) const { return {}; }
std::vector<Question> Recipe::questions(const Settings&) const { return {}; }

std::vector<std::string> Recipe::explain_data(const Settings&, const std::filesystem::path&) const {
  return {};
}

void Recipe::write_data(const Settings&, const std::filesystem::path&) const {
  fail("data", "the recipe {} makes no data of its own: --data names some", name());
}

std::vector<Setting> recipe_settings(const std::string& recipe, std::vector<Setting> own,
                                     DataSource source) {
  own.insert(own.begin(), Setting{"progress", std::string("auto"), "what to show while training"}
                              .one_of({"auto", "bar", "lines", "off"})
                              .not_saved());
  std::vector<Setting> all = training_settings(recipe, std::move(own));
  if (source == DataSource::kDrawn) {
    std::erase_if(all, [](const Setting& s) { return s.key == "data" || s.key == "val"; });
  }
  return all;
}

Setting pack_setting(std::string when) {
  return Setting{"pack", std::move(when),
                 "run on samples packed in one row, without padding; auto: where that is less work"}
      .one_of({"never", "auto", "always"});
}

}  // namespace maskgrad::apps
