// A model file of the best weights.
#pragma once

#include <filesystem>
#include <functional>

#include <maskgrad/train/trainer.hpp>

namespace maskgrad {

/// Keeps Trainer::Options::best in a model file. Stands behind the callback that saves checkpoints,
/// and writes when they are saved: the file never holds weights that no checkpoint knows. Where a
/// run starts, the file becomes what its checkpoint says, and is removed where that knows none.
class BestFile : public Callback {
 public:
  /// `notes` are those of the model; BestWeights::note() joins them.
  explicit BestFile(std::filesystem::path file, std::function<Notes()> notes = {})
      : file_(std::move(file)), notes_(std::move(notes)) {}

  /// Throws Error when the trainer has no Options::best.
  void on_start(const Trainer& trainer) override;
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
