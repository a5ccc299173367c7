// One training run of a recipe: everything between resolved settings and a finished run folder.
#pragma once

#include <atomic>
#include <optional>

#include "cli/folder_claim.hpp"
#include "cli/run_callbacks.hpp"
#include "cli/run_folder.hpp"
#include "cli/run_notes.hpp"

namespace maskgrad::apps {

class TrainingRun {
 public:
  /// Reads starting weights, or the last checkpoint with `resume`, and the data, and only then
  /// writes to the claimed folder. The claim must outlive the run. Throws UsageError when the
  /// folder holds a run and neither `resume` nor `force` is set; Error when data, weights or
  /// checkpoint are bad, or do not belong together.
  TrainingRun(const Recipe& recipe, const Settings& settings, FolderClaim& claim);

  /// Trains, reporting as the settings say; the run folder is complete when it was not stopped.
  /// Throws Error where that fails: with what is kept, and how to go on from it.
  Trainer::Outcome run(const std::atomic<bool>& stop);

  /// "maskgrad train blog --out runs/first --resume"
  std::string command_to_go_on() const;

 private:
  TrainState make_model();
  TrainState load_checkpoint();
  void make_average();
  void load_data();
  void load_validation();
  void check_data(const TrainState& state);
  DataLoader::Options loading() const;
  void make_trainer(const TrainState& state);
  void write_config() const;
  void put_config_back() const;
  void add_callbacks();
  void add_progress();
  void add_validation();
  Notes notes() const;
  Notes model_notes() const;
  void print_summary();
  std::string packing_of_next_batch();
  Trainer::Outcome train(const std::atomic<bool>& stop, const LastMeans& last);
  bool can_go_on() const;
  std::string way_to_go_on(const LastMeans& last) const;
  std::string way_out_of_divergence() const;
  void finish(const std::string& means, double seconds, std::int64_t steps) const;

  const Recipe& recipe_;
  Settings settings_;
  Settings trained_;  // what the weights were trained with last
  RunPaths paths_;
  FolderClaim& claim_;
  bool resume_, own_data_;
  Notes resumed_;              // of the checkpoint that the run goes on from
  std::string former_config_;  // what config.toml held before the first step of a run that goes on
  std::unique_ptr<Dataset> data_;
  std::unique_ptr<Dataset> validation_;  // where the settings name some
  DataStart data_start_;
  std::unique_ptr<RecipeModel> model_;
  std::unique_ptr<ParameterBuffer> parameters_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<WeightAverage> average_;  // where the settings ask for one
  std::unique_ptr<DataLoader> loader_;
  std::unique_ptr<Trainer> trainer_;
};

}  // namespace maskgrad::apps
