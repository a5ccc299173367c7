// Runs of recipes, from their folders.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/train/report/report_run.hpp>
#include <maskgrad/train/run/run_paths.hpp>

#include "cli/command.hpp"
#include "recipes/recipe.hpp"

namespace maskgrad::apps {

/// What a run's config.toml says.
struct SavedRun {
  std::string name;      // of its recipe, or of the program that trained it
  const Recipe* recipe;  // null: a program of its own trained it
  Settings defaults;
  Settings settings;
};
/// Throws Error when the folder holds no run, or its config.toml is damaged.
SavedRun read_run(const RunPaths& paths);

/// What the run was trained with, by the notes of its weights in `file`, but for where its files
/// are now. Where config.toml says others, standard error gets a line for each.
Settings trained_settings(const SavedRun& run, const RunPaths& paths,
                          const std::filesystem::path& file, const Notes& notes);

/// A line "lr: 0.001 -> 0.5" for each setting of the run that is another than it was trained with,
/// by the notes of its newest checkpoint, or else of its model. Throws Error where they are
/// damaged.
std::vector<std::string> changes_in(const SavedRun& run, const RunPaths& paths,
                                    const FileNotes& checkpoint, const Notes& model);

/// "its training has not ended yet", and the commands that end it with the steps it has and that go
/// on with it, where a recipe trained it. A recipe whose steps are fixed has no command that ends
/// it early. For a run that has no model.safetensors.
std::string about_unended(const RunPaths& paths);

/// Throws Error where the run's config.toml names another recipe than the one whose settings it
/// holds. For where it cannot be read as what it names.
void check_recipe_in_config(const RunPaths& paths);

/// Throws Error unless a file or folder that stands in the run's config.toml is there; `flag` is
/// the one that overrides it. One that is `given` on the command line is left to whoever opens it.
void check_data_folder(const std::filesystem::path& folder, const RunPaths& paths, bool given,
                       const char* flag = "--data");

/// Which of a run's weights: the last, or the best by validation.
enum class Weights { kLast, kBest };
/// Adds the flag --best, which sets `weights`.
void add_best(CLI::App& command, Weights& weights);

/// A run's model with its trained weights.
class TrainedRun {
 public:
  /// On `device`, in the dtype it was trained in, or another, and with the settings it was trained
  /// with: where config.toml says others, standard error gets a line. Throws Error when the folder
  /// holds no run of a recipe, or no weights that fit and are finite. The best weights are there
  /// from the first validation on, before the run has ended, too.
  explicit TrainedRun(const std::filesystem::path& folder, Weights weights = Weights::kLast,
                      Device device = {}, std::optional<DType> dtype = {});

  const RunPaths& paths() const { return paths_; }
  const Recipe& recipe() const { return *run_.recipe; }
  const Settings& settings() const { return run_.settings; }
  /// The masks of its attention on the first sample of its data. Throws Error where the data cannot
  /// be read.
  std::vector<ReportMask> attention_masks();
  RecipeModel& model() { return *model_; }
  const ParameterBuffer& parameters() const { return *parameters_; }
  /// The samples of `folder`, all of them; or when it is empty, this part of the run's own data,
  /// from the folder that its settings name or that it made, or drawn anew. Throws Error "[command]
  /// '...' holds no samples", for a folder where the recipe draws its data, and for what is held
  /// out of other data than the run was trained on.
  std::unique_ptr<Dataset> load_data(const std::string& folder, const char* command,
                                     DataPart part = DataPart::kTraining) const;

 private:
  RunPaths paths_;
  SavedRun run_;
  std::unique_ptr<RecipeModel> model_;
  std::unique_ptr<ParameterBuffer> parameters_;
  std::string trained_on_;  // the fingerprint of its data; empty: not known
};

/// `folder` itself when it is a run, else the runs right below it, sorted by name.
/// Throws Error when there is none.
std::vector<std::filesystem::path> runs_in(const std::filesystem::path& folder);

/// Adds the flag --pad, which sets `positions`.
void add_pad(CLI::App& command, std::int64_t& positions);
/// The model of `run` reads so much more padding. Throws UsageError where it takes none.
void pad_inputs(TrainedRun& run, std::int64_t positions);

}  // namespace maskgrad::apps
