// Evaluates a model, while it is trained, on data that it is not trained on.
#pragma once

#include <string>

#include <maskgrad/train/evaluate.hpp>

namespace maskgrad {

/// Evaluates the trainer's model on the validation data. Where the trainer averages weights, it
/// evaluates with the average. All callbacks hear of the result (on_evaluation). It keeps the
/// weights with the smallest loss in Trainer::Options::best. It may end the run when no later
/// evaluation is better. Best weights that were found on other data stay until its first evaluation
/// replaces them.
///
/// Add it to the trainer before CheckpointCallback. A run that goes on from a checkpoint then
/// evaluates, keeps weights and stops as an unbroken run does. An evaluation is regular unless only
/// the end of the run caused it. A longer run would not have made it then. Weights from such an
/// evaluation may be the best of the run that ended. When that run goes on, its first regular
/// evaluation drops them and goes on from BestWeights::regular.
class Validation : public Callback {
 public:
  struct Options {
    std::int64_t every_steps = 0;  // 0: at the ends of epochs; in any case at the end of the run
    std::int64_t batch_size = 100;
    /// Ends the run after so many regular evaluations without a better one; 0: never.
    std::int64_t patience = 0;
    /// Evaluations before this step are told, but count neither for the best weights nor for
    /// patience. For a run whose loss measures something else from there on.
    std::int64_t best_from = 0;
    Warn warn = {};  // hears of data other than before, and of patience that ran out before
  };

  /// `data` must outlive this object. Throws Error when there are no samples, when batch_size is
  /// below 1, and when another option is below 0.
  Validation(const Dataset& data, Options options);

  /// Throws Error when the trainer has no Options::best.
  void on_start(const Trainer& trainer) override;
  /// Throws Diverged "[validation] step 12: ..." when the loss is not finite.
  void on_step(const Trainer& trainer, const StepInfo& step) override;
  bool needs_step(std::int64_t steps) const override { return validates_at(steps); }
  void on_epoch(const Trainer& trainer, const EpochInfo& epoch) override;
  void on_end_within_epoch(const Trainer& trainer, const EpochInfo& part) override;
  /// True after `patience` regular evaluations without a better one.
  bool wants_to_stop() const override;

 private:
  bool validates_at(std::int64_t steps) const {
    return options_.every_steps > 0 && steps % options_.every_steps == 0;
  }
  bool is_of_these_data(const BestWeights& best) const { return best.data == fingerprint_; }
  void validate(const Trainer& trainer, bool is_regular);
  // Keeps the weights where the loss is the smallest so far, which it returns.
  bool compare(const Trainer& trainer, double loss, bool is_regular);
  void keep(const Trainer& trainer, double loss, bool is_regular);
  std::vector<Metric> evaluate_at(const Trainer& trainer) const;

  const Dataset& data_;
  Options options_;
  std::string fingerprint_;      // of the data
  BestWeights* best_ = nullptr;  // the trainer's, once it has started
  std::int64_t last_step_ = -1;  // of the last evaluation
};

}  // namespace maskgrad
