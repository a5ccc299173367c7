// A training run in a folder of its own.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <maskgrad/ops/math/product_math.hpp>
#include <maskgrad/train/run/config_file.hpp>
#include <maskgrad/train/run/folder_claim.hpp>
#include <maskgrad/train/run/run_data.hpp>
#include <maskgrad/train/run/run_end.hpp>
#include <maskgrad/train/run/run_weights.hpp>

namespace maskgrad {

/// What a run trains. What it refers to must outlive the run.
struct RunParts {
  std::string name;   // noted in the run's files as `recipe`
  Settings defaults;  // training_settings(), and its own
  Module& module;
  Model model;
  RunData data;
  /// Groups of parameters before those that the settings' optimizer makes.
  std::vector<ParameterGroup> groups = {};
  /// See Validation::Options::best_from.
  std::int64_t best_from = 0;
  /// What the model counts over the steps, beside its parameters, as text; checkpoints hold it, and
  /// a run that goes on gives it back before its first step. Either both are given, or none. What
  /// `restore` throws names the checkpoint.
  std::function<std::string()> counts = {};
  std::function<void(const std::string& counts)> restore = {};
  RunWords words = {};
  Warn warn = {};
};

class LastEpoch;

class TrainingRun {
 public:
  /// Reads the data and the starting weights, or with the setting `resume` the last checkpoint. It
  /// writes to the claimed folder only after that. This is the folder that `settings` name. The
  /// claim must outlive the run. While it lives, the process multiplies as the setting `math` says.
  /// Throws UsageError when the folder holds a run and neither `resume` nor `force` is set. Throws
  /// Error when data, weights or checkpoint are bad, or do not belong together.
  TrainingRun(RunParts parts, const Settings& settings, FolderClaim& claim);

  const Settings& settings() const { return settings_; }
  const RunPaths& paths() const { return paths_; }
  const Dataset& data() const { return *data_; }
  DataLoader& loader() { return *loader_; }
  /// Takes further callbacks. They are called after the run's own, so what they report is saved.
  Trainer& trainer() { return *trainer_; }

  /// Trains. `begin` is called before the first step. Where the run was not stopped, `end` is
  /// called when all files but the report are complete, and may write the report. Meanwhile the
  /// module holds the weights that were saved: their average, where the run averages. Throws Error
  /// where any of this fails. The error says what is kept, and how to go on.
  RunEnd run(const std::atomic<bool>& stop, const std::function<void()>& begin = {},
             const std::function<void(const RunEnd&)>& end = {});

 private:
  TrainState prepare_weights();
  void restore_counts();
  void load_validation();
  void begin_folder();
  DataLoader::Options loading() const;
  void make_trainer(const TrainState& state);
  void add_callbacks();
  Notes notes() const;
  Notes model_notes() const;
  void warn_of_idle_settings() const;
  void warn_of_changes() const;
  void warn_of_schedule() const;
  bool is_out_of_patience() const;
  RunEnd train(const std::atomic<bool>& stop, const LastEpoch& last);
  bool can_go_on() const;
  std::string way_out_of_divergence() const;
  void save();

  RunParts parts_;
  Settings settings_;
  Settings trained_;  // what the weights were trained with last
  ops::WithProductMath math_;
  RunPaths paths_;
  FolderClaim& claim_;
  ConfigFile config_;
  bool resume_;
  Notes resumed_;  // of the checkpoint that the run goes on from
  std::shared_ptr<const Dataset> data_, validation_;
  std::string fingerprint_;  // of data_
  // Where the system has no more memory, there is enough to say how to go on.
  std::vector<std::byte> spare_ = std::vector<std::byte>(std::size_t{64} << 10);
  DataStart data_start_;
  std::optional<RunWeights> weights_;
  std::unique_ptr<DataLoader> loader_;
  std::unique_ptr<Trainer> trainer_;
  const Callback* validating_ = nullptr;  // owned by the trainer; null: the run does not
};

}  // namespace maskgrad
