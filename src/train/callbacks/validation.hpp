// How good a model is on data that it is not trained on, while it is trained.
#pragma once

#include <string>

#include <maskgrad/train/evaluate.hpp>

namespace maskgrad {

/// Evaluates the trainer's model on data of its own; where the trainer averages weights, with the
/// average. All callbacks hear of it (on_evaluation). It keeps the weights of the smallest loss in
/// Trainer::Options::best, and may end the run when they are not beaten any more. Best weights that
/// were found on other data are left alone until its first evaluation takes their place.
///
/// Stands before the callback that saves checkpoints: a run that goes on from one evaluates, keeps
/// and stops as the unbroken one does. An evaluation that only the end of a run made is no part of
/// that, as a longer run would not have made it. Its weights may be the best of the run that ended;
/// the first regular evaluation of a run that goes on forgets them (BestWeights::regular).
class Validation : public Callback {
 public:
  struct Options {
    std::int64_t every_steps = 0;  // 0: at the ends of epochs; in any case at the end of the run
    std::int64_t batch_size = 100;
    /// Ends the run after so many regular evaluations without a better one; 0: never.
    std::int64_t patience = 0;
    Warn warn = {};  // hears of other data than before, and of patience that is over at the start
  };

  /// `data` must outlive it. Throws Error for no samples, and for options below their least.
  Validation(const Dataset& data, Options options);

  /// Throws Error when the trainer has no Options::best.
  void on_start(const Trainer& trainer) override;
  /// Throws Diverged "[validation] step 12: ..." when the loss is not finite.
  void on_step(const Trainer& trainer, const StepInfo& step) override;
  void on_epoch(const Trainer& trainer, const EpochInfo& epoch) override;
  void on_end_within_epoch(const Trainer& trainer, const EpochInfo& part) override;
  /// True once patience has run out.
  bool wants_to_stop() const override;

 private:
  bool is_of_these_data(const BestWeights& best) const { return best.data == fingerprint_; }
  void validate(const Trainer& trainer, bool is_regular);
  void keep(const Trainer& trainer, double loss, bool is_regular);
  std::vector<Metric> evaluate_at(const Trainer& trainer) const;

  const Dataset& data_;
  Options options_;
  std::string fingerprint_;      // of the data
  BestWeights* best_ = nullptr;  // the trainer's, once it has started
  std::int64_t last_step_ = -1;  // of the last evaluation
};

}  // namespace maskgrad
