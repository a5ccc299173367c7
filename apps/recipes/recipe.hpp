// A recipe: data, model and defaults of one experiment, for the command line to train.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <maskgrad/layers/sequential.hpp>
#include <maskgrad/train/report/report.hpp>
#include <maskgrad/train/settings.hpp>
#include <maskgrad/train/trainer.hpp>

namespace maskgrad::apps {

/// A recipe's model, made for certain settings.
class RecipeModel {
 public:
  virtual ~RecipeModel() = default;

  virtual Module& module() = 0;
  /// Loss and metrics of a batch; what the trainer trains.
  virtual ModelOutput evaluate(const Batch& batch, Pass& pass) = 0;
  /// The table of layers, for the shapes of `batch`.
  virtual std::vector<LayerSummary> summarize(const Batch& batch) = 0;
  /// What packing makes of a batch, and why, a line for each part of the model; empty when its
  /// settings ask for none.
  virtual std::vector<std::string> explain_packing(const Batch& batch) {
    static_cast<void>(batch);
    return {};
  }
  /// The masks of pairs that its attention has on the first sample of a batch, for the report.
  virtual std::vector<ReportMask> attention_masks(const Batch& batch) {
    static_cast<void>(batch);
    return {};
  }
  /// The model's answer to one line of text. Throws Error for a text it cannot read.
  virtual std::string predict(const std::string& text) = 0;
};

/// How much of a data folder counts: as the settings limit it, or all.
enum class DataPart { kTraining, kAll };

/// One experiment.
class Recipe {
 public:
  virtual ~Recipe() = default;

  virtual std::string name() const = 0;
  /// One line for the help.
  virtual std::string summary() const = 0;
  /// Its settings, defaults included.
  virtual std::vector<Setting> settings() const = 0;
  /// Throws Error for settings that contradict each other.
  virtual void check_settings(const Settings& settings) const { static_cast<void>(settings); }
  /// Writes training data of its own.
  virtual void write_data(const Settings& settings, const std::filesystem::path& folder) const = 0;
  /// Reads a data folder.
  virtual std::unique_ptr<Dataset> load_data(const Settings& settings,
                                             const std::filesystem::path& folder,
                                             DataPart part) const = 0;
  virtual std::unique_ptr<RecipeModel> make_model(const Settings& settings) const = 0;
  /// Published curves to draw beside a run's.
  virtual std::vector<ReferenceCurve> references() const { return {}; }
};

/// Adds a recipe; called where the program starts:
///   const bool kRegistered = register_recipe(std::make_unique<BlogRecipe>());
/// Returns true. Throws Error when its name is taken.
bool register_recipe(std::unique_ptr<Recipe> recipe);
/// All recipes, in the order of their names.
const std::vector<std::unique_ptr<Recipe>>& recipes();
/// The recipe of that name; null where there is none.
const Recipe* find_recipe(const std::string& name);

/// training_settings() and what the command line shows; the recipe's own defaults and further
/// settings are merged in.
std::vector<Setting> recipe_settings(const std::string& recipe, std::vector<Setting> own);

/// The setting `pack`, for a recipe whose model can run on packed rows: when it does.
Setting pack_setting();

}  // namespace maskgrad::apps
