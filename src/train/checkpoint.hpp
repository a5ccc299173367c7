// Everything that going on with a run needs, in one safetensors file.
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

/// Writes weights ("model/NAME"), the optimizer's tensors ("optimizer.m/NAME"), the average of the
/// weights ("ema/NAME") and the best weights ("best/NAME", and "regular/NAME" for
/// BestWeights::regular) where there are some, and as metadata
/// the steps done, the position in the data, the sums of the epoch under way, and notes. Random
/// numbers need no state of their own: they follow from seed, epoch and step. The file holds a
/// digest, and appears whole or not at all. Throws Error for a state that load_checkpoint would
/// refuse.
void save_checkpoint(const std::filesystem::path& path, const TrainState& state,
                     const ParameterBuffer& parameters, Optimizer& optimizer,
                     const Notes& notes = {}, const WeightAverage* average = nullptr,
                     const BestWeights* best = nullptr);

/// Puts weights, optimizer, average and best weights back, and returns the state to go on from.
/// `best` is undefined where the run had none. Throws Error naming the file and what is wrong: it
/// is damaged, contradicts itself or its name `step_<steps>.safetensors`, is of another version, or
/// does not fit (another model, dtype or optimizer). Then nothing changed.
Checkpoint load_checkpoint(const std::filesystem::path& path, ParameterBuffer& parameters,
                           Optimizer& optimizer, WeightAverage* average = nullptr,
                           BestWeights* best = nullptr);

/// The notes of a checkpoint or a model; the whole file is held against its digest. Throws Error
/// for any other file.
Notes read_notes(const std::filesystem::path& path);

/// Throws Error unless `state` can be that of a run whose epochs have so many batches: step must be
/// epoch * batches_per_epoch + batch. `source` is what the error calls it.
void check_position(const TrainState& state, std::int64_t batches_per_epoch,
                    const std::string& source);

/// The checkpoint of the most steps in a folder, sound or not; nothing where there is none. Throws
/// Error where the folder cannot be read.
std::optional<std::filesystem::path> latest_checkpoint(const std::filesystem::path& folder);

/// The newest checkpoint of a folder that is sound; nothing when there is none at all. `warn` gets
/// a line for each newer one that is damaged. Throws Error when none of them is sound.
std::optional<std::filesystem::path> latest_sound_checkpoint(const std::filesystem::path& folder,
                                                             const Warn& warn = {});

/// load_checkpoint of the newest one that is sound. `warn` gets a line for each newer one that is
/// damaged. Returns nothing when the folder holds no checkpoint. Throws Error when none of them is
/// sound, and as load_checkpoint for a sound one that does not fit.
std::optional<Checkpoint> load_latest_checkpoint(const std::filesystem::path& folder,
                                                 ParameterBuffer& parameters, Optimizer& optimizer,
                                                 const Warn& warn, WeightAverage* average = nullptr,
                                                 BestWeights* best = nullptr);

/// Saves `step_<steps>.safetensors` into a folder at the end of each epoch, on interruption, and
/// every Trainer::Options::checkpoint_every steps. Keeps the newest three up to there. Later ones
/// were damaged when the run went on, and are removed once a sound one stands in their place. Notes
/// come from `notes` and from the trainer's callbacks.
class CheckpointCallback : public Callback {
 public:
  explicit CheckpointCallback(std::filesystem::path folder, std::function<Notes()> notes = {})
      : folder_(std::move(folder)), notes_(std::move(notes)) {}

  /// Throws Error when a new run finds checkpoints of another in its folder.
  void on_start(const Trainer& trainer) override;
  void on_epoch(const Trainer& trainer, const EpochInfo&) override { save(trainer); }
  void on_interrupt(const Trainer& trainer) override { save(trainer); }
  void on_checkpoint(const Trainer& trainer) override { save(trainer); }

 private:
  void save(const Trainer& trainer) const;

  std::filesystem::path folder_;
  std::function<Notes()> notes_;
};

}  // namespace maskgrad
