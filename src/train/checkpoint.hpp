// Everything that going on with a run needs, in one safetensors file.
#pragma once

#include <filesystem>
#include <optional>

#include <maskgrad/train/trainer.hpp>

namespace maskgrad {

/// Writes weights ("model/NAME"), the optimizer's tensors ("optimizer.m/NAME"), and as metadata the
/// steps done, the position in the data and the sums of the epoch under way. Random numbers need no
/// state of their own: they follow from seed, epoch and step. The file appears whole or not at all.
void save_checkpoint(const std::filesystem::path& path, const TrainState& state,
                     const ParameterBuffer& parameters, Optimizer& optimizer);

/// Puts weights and optimizer back, and returns the state to go on from. Throws Error naming the
/// file and what does not fit (another model, dtype or optimizer, or no checkpoint); then nothing
/// changed.
TrainState load_checkpoint(const std::filesystem::path& path, ParameterBuffer& parameters,
                           Optimizer& optimizer);

/// The checkpoint of the most steps in a folder, or nothing.
std::optional<std::filesystem::path> latest_checkpoint(const std::filesystem::path& folder);

/// Saves `step_<steps>.safetensors` into a folder at the end of each epoch and on interruption, and
/// keeps the newest three.
class CheckpointCallback : public Callback {
 public:
  explicit CheckpointCallback(std::filesystem::path folder) : folder_(std::move(folder)) {}
  void on_epoch(const Trainer& trainer, const EpochInfo&) override { save(trainer); }
  void on_interrupt(const Trainer& trainer) override { save(trainer); }

 private:
  void save(const Trainer& trainer) const;

  std::filesystem::path folder_;
};

}  // namespace maskgrad
