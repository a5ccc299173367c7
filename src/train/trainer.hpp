// The loop that trains a model. It knows no model: one is a function from a batch to a loss.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <maskgrad/train/best_weights.hpp>
#include <maskgrad/train/data/data_loader.hpp>
#include <maskgrad/train/diverged.hpp>
#include <maskgrad/train/metric.hpp>
#include <maskgrad/train/model_output.hpp>
#include <maskgrad/train/notes.hpp>
#include <maskgrad/train/optim/gradient_transform.hpp>
#include <maskgrad/train/optim/optimizer.hpp>
#include <maskgrad/train/optim/schedule.hpp>
#include <maskgrad/train/optim/weight_average.hpp>

namespace maskgrad {

/// How far a run has come: together with weights and the optimizer's state, all that going on
/// needs.
struct TrainState {
  std::int64_t step = 0;       // steps done
  DataPosition position;       // of the next batch
  std::vector<Metric> totals;  // of the epoch under way: the loss, its terms, the model's metrics
  std::int64_t skipped = 0;    // steps whose batch counted nothing, and so moved no weight
};

struct StepInfo {
  std::int64_t step;  // 0, 1, ...
  double loss;        // mean over the batch, before the step's update
  double lr;          // the learning rate of the update
};

/// An epoch, or what was done of it.
struct EpochInfo {
  std::int64_t epoch;    // 1, 2, ...
  std::int64_t steps;    // done in all
  std::int64_t batches;  // of this epoch: what the totals are of
  double seconds;        // spent in this epoch by this process
  /// The loss is the mean of the steps' losses, each weighing as its largest count does.
  std::span<const Metric> totals;
  bool is_last;  // the run ends with it, whatever callbacks make of it
};

/// What an evaluation gave.
struct EvaluationInfo {
  std::int64_t step;  // done when it was made
  std::span<const Metric> totals;
  bool is_best;  // of those so far, by its loss
};

class Trainer;

/// Gets told what happens. Whatever it throws ends the run.
class Callback {
 public:
  virtual ~Callback() = default;
  virtual void on_start(const Trainer&) {}
  /// After each step, which the trainer's state counts already.
  virtual void on_step(const Trainer&, const StepInfo&) {}
  /// After the last step of an epoch.
  virtual void on_epoch(const Trainer&, const EpochInfo&) {}
  /// After the last step of all, where steps or minutes end the run in the middle of an epoch.
  virtual void on_end_within_epoch(const Trainer& trainer, const EpochInfo&) {
    on_interrupt(trainer);
  }
  /// When the run was asked to stop in the middle of an epoch.
  virtual void on_interrupt(const Trainer&) {}
  /// In the middle of an epoch, where Options::checkpoint_every asks for a checkpoint. Like
  /// on_epoch and on_interrupt, it reaches what writes files before what vouches for them.
  virtual void on_checkpoint(const Trainer&) {}
  /// After an evaluation on other data than those of the training.
  virtual void on_evaluation(const Trainer&, const EvaluationInfo&) {}
  /// Whether the run should end here; asked before the first step, after each, and after epochs.
  virtual bool wants_to_stop() const { return false; }
  /// Adds what a checkpoint of this moment should say of this callback's files.
  virtual void add_notes(Notes&) const {}
};

class Trainer {
 public:
  struct Options {
    double lr = 1e-3;
    Schedule schedule = {};  // what becomes of lr over the steps of the run
    double clip_norm = 0.0;  // gradients are scaled to at most this norm; 0: never
    /// Done to the gradients of each step in this order, clipping by clip_norm before them.
    std::vector<GradientTransform> transforms = {};
    WeightAverage* average = nullptr;  // takes in the weights of each step; outlives the trainer
    BestWeights* best = nullptr;       // kept by Validation; outlives the trainer
    /// Parts that a batch is cut into, each with a tape, random numbers and a gradient of its own:
    /// so much less memory for the same batch (gradient accumulation). Another number gives other
    /// rounding and other random numbers.
    std::int64_t micro_batches = 1;
    std::int64_t epochs = 1;
    std::int64_t max_steps = 0;         // 0: as many as the epochs have
    double max_minutes = 0.0;           // 0: no limit
    std::int64_t checkpoint_every = 0;  // steps; 0: at the ends of epochs only
    std::uint64_t seed = 0;  // of the random numbers that layers draw: Pass::training(seed, step)
  };
  enum class Outcome { kDone, kInterrupted };

  /// Parameters, optimizer and loader must outlive the trainer; `loader` stands where `state` says.
  /// Throws Error for no model, when the loader stands elsewhere, for an option that is not finite
  /// or below 0, a clip_norm above 0 that is too small for a step to see, no micro-batch, an empty
  /// transform, and as check_schedule.
  Trainer(Model model, ParameterBuffer& parameters, Optimizer& optimizer, DataLoader& loader,
          Options options, TrainState state = {});

  /// Throws Error for a null pointer.
  void add(std::unique_ptr<Callback> callback);

  /// Trains until the epochs, steps or minutes of the options are reached, a callback wants to
  /// stop, or `stop` becomes true. Throws Diverged "[train] step 12: ..." at the step whose loss,
  /// gradient or updated parameter is not finite, before a callback hears of that step. It names
  /// the parameter, and the first operation that gave such a number, where a second pass finds it.
  Outcome run(const std::atomic<bool>& stop);

  /// One step: forward, backward, update. Returns the loss, its terms where there are several, and
  /// metrics as sums and counts; with clip_norm the next is grad_norm, the norm before it was
  /// clipped. A batch that counts nothing moves no parameter, and nothing that the optimizer
  /// remembers. Throws as run().
  PoolVector<Metric> step(const Batch& batch);

  const Model& model() const { return model_; }
  const TrainState& state() const { return state_; }
  const Options& options() const { return options_; }
  ParameterBuffer& parameters() const { return parameters_; }
  Optimizer& optimizer() const { return optimizer_; }
  const DataLoader& loader() const { return loader_; }
  /// Steps that the whole run will have, if no time limit ends it earlier.
  std::int64_t total_steps() const { return total_steps_; }
  /// The learning rate of step 0, 1, ...
  double learning_rate(std::int64_t step) const {
    return options_.lr * options_.schedule.factor(step, total_steps_);
  }
  /// Tells the callbacks of an evaluation.
  void tell_evaluation(const EvaluationInfo& evaluation) const;
  /// What the callbacks have to say for a checkpoint of this moment.
  Notes notes() const;

 private:
  std::int64_t count_steps() const;
  ModelOutput run_model(const Batch& part, std::int64_t index);
  PoolVector<Metric> pass_at_once(const Batch& batch);
  PoolVector<Metric> pass_in_micro_batches(const Batch& batch);
  PoolVector<Metric> count_terms(const Batch& batch);
  // Calls f(index, part) for the parts that the batch is cut into, empty ones included.
  template <class F>
  void for_each_micro_batch(const Batch& batch, F f);
  PoolVector<Metric> finite_sums(const Batch& batch, const ModelOutput& output);
  double transform_gradients(const Batch& batch, bool counts, PoolVector<Metric>& metrics);
  void update(const Batch& batch, double scale);
  [[noreturn]] void explain_loss(const Batch& batch, const std::string& what, double value);
  [[noreturn]] void explain_update(const Batch& batch, std::string_view text);
  // What a second pass finds, up to its forward or backward half; empty when it finds nothing.
  enum class Half { kForward, kBackward };
  std::string first_not_finite(const Batch& batch, Half last);
  std::string first_not_finite(const Batch& part, std::int64_t index, Half last);
  void tell_epoch(std::int64_t epoch, double seconds, bool is_last);
  bool wants_checkpoint() const;
  bool a_callback_wants_to_stop() const;

  Model model_;
  ParameterBuffer& parameters_;
  Optimizer& optimizer_;
  DataLoader& loader_;
  Options options_;
  TrainState state_;
  std::int64_t total_steps_;
  std::vector<std::unique_ptr<Callback>> callbacks_;
};

}  // namespace maskgrad
