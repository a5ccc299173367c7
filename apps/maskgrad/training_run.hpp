// One training run of a recipe: everything between resolved settings and a finished run folder.
#pragma once

#include <atomic>

#include "folder_claim.hpp"
#include "run_folder.hpp"

namespace maskgrad::apps {

/// The folder that the settings name, or runs/<recipe>.
std::filesystem::path run_folder(const Recipe& recipe, const Settings& settings);

/// The optimizer that the settings name.
std::unique_ptr<Optimizer> make_optimizer(const Settings& settings,
                                          const ParameterBuffer& parameters);

class TrainingRun {
 public:
  /// Reads starting weights, or the last checkpoint with `resume`, and the data, and only then
  /// writes to the run folder; whatever fails leaves the folder without a new run. Throws
  /// UsageError when the folder holds a run and neither `resume` nor `force` is set, or when there
  /// is none to resume; Error when data, weights or checkpoint are bad.
  TrainingRun(const Recipe& recipe, const Settings& settings);

  /// Trains, reporting as the settings say; the run folder is complete when it was not stopped.
  Trainer::Outcome run(const std::atomic<bool>& stop);

  const RunPaths& paths() const { return paths_; }

 private:
  void check_folder() const;
  TrainState make_model();
  void load_data();
  DataLoader::Options loading() const;
  void make_trainer(const TrainState& state);
  void write_folder() const;
  void add_callbacks();
  void add_progress();
  void print_summary();
  std::string packing_of_next_batch();
  void print_results(double seconds, std::int64_t steps) const;

  const Recipe& recipe_;
  Settings settings_;
  RunPaths paths_;
  bool resume_, own_data_;
  Notes resumed_;  // of the checkpoint that the run goes on from
  std::unique_ptr<FolderClaim> claim_;
  SequenceDataset data_;
  std::unique_ptr<RecipeModel> model_;
  std::unique_ptr<ParameterBuffer> parameters_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<DataLoader> loader_;
  std::unique_ptr<Trainer> trainer_;
};

}  // namespace maskgrad::apps
