// A model file of the best weights.
#pragma once

#include <filesystem>
#include <functional>

#include <maskgrad/train/trainer.hpp>

namespace maskgrad {

/// Keeps Trainer::Options::best in a model file. Add it to the trainer after CheckpointCallback. It
/// writes when checkpoints are saved, so the file never holds weights that no checkpoint holds.
/// When a run starts, the file becomes what the run's checkpoint says. It is removed where the
/// checkpoint has no best weights. Throws Error where the file cannot be written or removed.
class BestFile : public Callback {
 public:
  /// `notes` gives the notes of the model. BestWeights::note() is added to them.
  explicit BestFile(std::filesystem::path file, std::function<Notes()> notes = {})
      : file_(std::move(file)), notes_(std::move(notes)) {}

  /// Throws Error when the trainer has no Options::best.
  void on_start(const Trainer& trainer) override;
  bool needs_step(std::int64_t) const override { return false; }
  void on_epoch(const Trainer& trainer, const EpochInfo&) override { write(trainer); }
  void on_interrupt(const Trainer& trainer) override { write(trainer); }
  void on_checkpoint(const Trainer& trainer) override { write(trainer); }

 private:
  void write(const Trainer& trainer);

  std::filesystem::path file_;
  std::function<Notes()> notes_;
  std::string written_;  // the note of what is in the file; empty: there is none
};

}  // namespace maskgrad
