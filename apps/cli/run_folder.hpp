// Run folders: config.toml, epochs.csv, model.safetensors, checkpoints/, logs/, report.html.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <maskgrad/layers/parameter_buffer.hpp>

#include "recipes/recipe.hpp"

namespace maskgrad::apps {

/// The files of a run folder.
struct RunPaths {
  explicit RunPaths(std::filesystem::path run) : folder(std::move(run)) {}

  std::filesystem::path folder;
  std::filesystem::path config = folder / "config.toml";
  std::filesystem::path epochs = folder / "epochs.csv";
  std::filesystem::path model = folder / "model.safetensors";
  std::filesystem::path best = folder / "best.safetensors";
  std::filesystem::path checkpoints = folder / "checkpoints";
  std::filesystem::path logs = folder / "logs";
  std::filesystem::path report = folder / "report.html";
  std::filesystem::path own_data = folder / "data";

  bool is_run() const { return exists(config); }
  bool has_ended() const { return exists(model); }

 private:
  static bool exists(const std::filesystem::path& path) {
    std::error_code ignored;  // what cannot be looked at is not there
    return std::filesystem::exists(path, ignored);
  }
};

/// Recipe and settings of a run, from its config.toml. Throws Error when the folder holds no run.
struct RunConfig {
  const Recipe& recipe;
  Settings settings;
};
RunConfig read_config(const RunPaths& paths);

/// The settings in a run's config.toml, with paths that this process can open. Throws Error for a
/// run of another recipe, too.
Settings read_saved_settings(const Recipe& recipe, const RunPaths& paths);

/// Throws Error unless the folder is there: `path` stands in the run's config.toml where it is not
/// `given` on the command line.
void check_data_folder(const std::filesystem::path& folder, const RunPaths& paths, bool given);

/// A run's model with its trained weights.
class TrainedRun {
 public:
  /// In the dtype it was trained in, or another, and with the settings it was trained with: where
  /// config.toml says others, standard error gets a line. Throws Error when the folder holds no
  /// run, or no weights that fit and are finite.
  explicit TrainedRun(const std::filesystem::path& folder, std::optional<DType> dtype = {});

  const RunPaths& paths() const { return paths_; }
  const Recipe& recipe() const { return config_.recipe; }
  const Settings& settings() const { return config_.settings; }
  /// The masks of its attention on the first sample of its data. Throws Error where the data cannot
  /// be read.
  std::vector<ReportMask> attention_masks();
  RecipeModel& model() { return *model_; }
  const ParameterBuffer& parameters() const { return *parameters_; }
  /// The samples of `folder`, all of them, or when it is empty those that the run was trained on,
  /// from the folder that its settings name or that it made.
  /// Throws Error "[command] '...' holds no samples".
  std::unique_ptr<Dataset> load_data(const std::string& folder, const char* command) const;

 private:
  RunPaths paths_;
  RunConfig config_;
  std::unique_ptr<RecipeModel> model_;
  std::unique_ptr<ParameterBuffer> parameters_;
};

/// Loads a safetensors file into a model. Throws Error listing every name and shape that differs,
/// and naming a tensor that is not finite.
void load_weights(const std::filesystem::path& path, ParameterBuffer& parameters);

/// `folder` itself when it is a run, else the runs right below it, sorted by name.
/// Throws Error when there is none.
std::vector<std::filesystem::path> runs_in(const std::filesystem::path& folder);

/// Writes a report of the runs, drawn together, into `out`. Throws Error when one has not ended.
void write_report(std::span<const std::filesystem::path> runs, const std::filesystem::path& out);

}  // namespace maskgrad::apps
