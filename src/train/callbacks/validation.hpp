// How good a model is on data that it is not trained on, while it is trained.
#pragma once

#include <filesystem>
#include <functional>
#include <limits>

#include <maskgrad/train/evaluate.hpp>

namespace maskgrad {

/// The note under which a checkpoint holds how validation stood: the steps and the loss of the best
/// evaluation, and how many there were since.
inline constexpr const char* kValidationNote = "validation";

/// Evaluates the trainer's model on data of its own; where the trainer averages weights, with the
/// average. All callbacks hear of it (on_evaluation). It keeps the best weights, those of the
/// smallest loss, in a file, and may end the run when they are not beaten any more. Stands before
/// the callback that saves checkpoints: a run that goes on from one evaluates, keeps and stops as
/// the unbroken one does.
class Validation : public Callback {
 public:
  struct Options {
    std::int64_t every_steps = 0;  // 0: at the ends of epochs; in any case at the end of the run
    std::int64_t batch_size = 100;
    std::int64_t patience = 0;  // end after so many evaluations without a better one; 0: never
    std::filesystem::path best = {};  // a model file for the best weights; empty: they are not kept
    std::function<Notes()> notes = {};  // of that file
  };

  /// `data` must outlive it. `resumed` are the notes of the checkpoint that the run goes on from.
  /// Throws Error for no samples, for options below their least, and for notes that it did not
  /// write.
  Validation(const Dataset& data, Options options, const Notes& resumed = {});

  void on_step(const Trainer& trainer, const StepInfo& step) override;
  void on_epoch(const Trainer& trainer, const EpochInfo& epoch) override;
  void on_end_within_epoch(const Trainer& trainer, const EpochInfo& part) override;
  void add_notes(Notes& notes) const override;
  /// True once patience has run out.
  bool wants_to_stop() const override {
    return options_.patience > 0 && since_best_ >= options_.patience;
  }

 private:
  void validate(const Trainer& trainer);
  void read_note(const std::string& text);

  const Dataset& data_;
  Options options_;
  std::int64_t last_step_ = -1;  // of the last evaluation
  std::int64_t best_step_ = -1;  // -1: there was none
  double best_loss_ = std::numeric_limits<double>::infinity();
  std::int64_t since_best_ = 0;
};

}  // namespace maskgrad
