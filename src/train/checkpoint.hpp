// Everything that is needed to go on with a run, in one safetensors file.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>

#include <maskgrad/train/notes.hpp>
#include <maskgrad/train/trainer.hpp>

namespace maskgrad {

struct Checkpoint {
  TrainState state;
  Notes notes;
};

/// Writes a checkpoint. Its tensors are the weights ("model/NAME") and the optimizer's tensors
/// ("optimizer.m/NAME"). Where they are given, it also holds the average of the weights
/// ("ema/NAME") and the best weights ("best/NAME", and "regular/NAME" for BestWeights::regular).
/// Its metadata hold the steps done, the position in the data, the sums of the epoch under way, and
/// the notes. Random numbers need no state of their own: they follow from seed, epoch and step. The
/// file holds a digest, and appears whole or not at all. Throws Error for a state that
/// load_checkpoint would refuse, for an optimizer that made other steps than the state says, and
/// where the file cannot be written.
void save_checkpoint(const std::filesystem::path& path, const TrainState& state,
                     const ParameterBuffer& parameters, Optimizer& optimizer,
                     const Notes& notes = {}, const WeightAverage* average = nullptr,
                     const BestWeights* best = nullptr);

/// Puts weights, optimizer, average and best weights back. Returns the state and the notes of the
/// run. `best` becomes undefined where the run had no best weights. Throws Error naming the file
/// and what is wrong. The file may be damaged, may be of another version, may contradict itself or
/// its name `step_<steps>.safetensors`, or may not fit the run (another model, dtype or optimizer).
/// After an error nothing has changed.
Checkpoint load_checkpoint(const std::filesystem::path& path, ParameterBuffer& parameters,
                           Optimizer& optimizer, WeightAverage* average = nullptr,
                           BestWeights* best = nullptr);

/// The notes of a checkpoint or a model. The whole file is compared with its digest. Throws Error
/// for a damaged file, and for a file that is neither.
Notes read_notes(const std::filesystem::path& path);

/// Throws Error unless `state` can be that of a run whose epochs have `batches_per_epoch` batches:
/// step must be epoch * batches_per_epoch + batch. `source` is what the error calls the state.
void check_position(const TrainState& state, std::int64_t batches_per_epoch,
                    const std::string& source);

/// The steps that the name `step_<steps>.safetensors` gives. Returns nothing for another name.
std::optional<std::int64_t> steps_in_name(const std::filesystem::path& path);

/// The checkpoint of the most steps in a folder, whether it is sound or damaged. Returns nothing
/// when the folder holds no checkpoint. Throws Error where the folder cannot be read.
std::optional<std::filesystem::path> latest_checkpoint(const std::filesystem::path& folder);

/// The newest sound checkpoint of a folder. `warn` gets a line for each newer one that is damaged.
/// Returns nothing when the folder holds no checkpoint. Throws Error when all of them are damaged,
/// and when it meets one of another version before a sound one.
std::optional<std::filesystem::path> latest_sound_checkpoint(const std::filesystem::path& folder,
                                                             const Warn& warn = {});

/// Loads the checkpoint that latest_sound_checkpoint() finds. Returns nothing when the folder holds
/// no checkpoint. Throws as latest_sound_checkpoint(), and as load_checkpoint() when the checkpoint
/// does not fit the run.
std::optional<Checkpoint> load_latest_checkpoint(const std::filesystem::path& folder,
                                                 ParameterBuffer& parameters, Optimizer& optimizer,
                                                 const Warn& warn, WeightAverage* average = nullptr,
                                                 BestWeights* best = nullptr);

/// Saves `step_<steps>.safetensors` into a folder at the end of each epoch, on interruption, and
/// every Trainer::Options::checkpoint_every steps. After each save it keeps the newest three
/// checkpoints up to this step. It removes those of later steps: they were damaged, and the run
/// went on from an earlier one. Notes come from `notes` and from the trainer's callbacks.
class CheckpointCallback : public Callback {
 public:
  explicit CheckpointCallback(std::filesystem::path folder, std::function<Notes()> notes = {})
      : folder_(std::move(folder)), notes_(std::move(notes)) {}

  /// Throws Error when a new run finds checkpoints of another run in its folder.
  void on_start(const Trainer& trainer) override;
  bool needs_step(std::int64_t) const override { return false; }
  void on_epoch(const Trainer& trainer, const EpochInfo&) override { save(trainer); }
  void on_interrupt(const Trainer& trainer) override { save(trainer); }
  void on_checkpoint(const Trainer& trainer) override { save(trainer); }

 private:
  void save(const Trainer& trainer) const;

  std::filesystem::path folder_;
  std::function<Notes()> notes_;
};

}  // namespace maskgrad
