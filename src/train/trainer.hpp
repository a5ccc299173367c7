// The loop that trains a model. A model is any function from a batch to a loss.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <maskgrad/tensor/cuda/late_results.hpp>
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

/// How far a run has come. A run goes on from this, its weights and the optimizer's state.
struct TrainState {
  std::int64_t step = 0;       // steps done
  DataPosition position;       // of the next batch
  std::vector<Metric> totals;  // of the epoch under way: the loss, its terms, the model's metrics
  std::int64_t skipped = 0;    // steps whose batch counted nothing: they moved no weight
};

struct StepInfo {
  std::int64_t step;  // 0, 1, ...
  double loss;        // mean over the batch, before the step's update
  double lr;          // the learning rate of the update
};

/// An epoch, or the part of it that was done.
struct EpochInfo {
  std::int64_t epoch;    // 1, 2, ...
  std::int64_t steps;    // done by the whole run
  std::int64_t batches;  // of this epoch, the ones that the totals sum up
  double seconds;        // spent in this epoch by this process
  /// The loss is the mean of the steps' losses, each weighing as its largest count does.
  std::span<const Metric> totals;
  bool is_last;  // the run ends here, whatever callbacks do next
};

/// The result of an evaluation.
struct EvaluationInfo {
  std::int64_t step;  // steps done when it was made
  std::span<const Metric> totals;
  bool is_best;  // its loss is smaller than that of the best weights before
};

class Trainer;

/// Hears what happens in a run. Whatever a callback throws ends the run.
class Callback {
 public:
  virtual ~Callback() = default;
  virtual void on_start(const Trainer&) {}
  /// After each step. The trainer's state counts this step already.
  virtual void on_step(const Trainer&, const StepInfo&) {}
  /// Whether this callback must hear of a step before the next one begins: because it looks at
  /// parameters or gradients, or because it may want to stop there. `steps` are done with it. Where
  /// all callbacks say no, a device does the next step while they hear of this one, and waits for
  /// nobody. The CPU tells of each step before the next one.
  virtual bool needs_step(std::int64_t /*steps*/) const { return true; }
  /// After the last step of an epoch.
  virtual void on_epoch(const Trainer&, const EpochInfo&) {}
  /// After the last step of the run, where steps, minutes or a callback end it in the middle of an
  /// epoch.
  virtual void on_end_within_epoch(const Trainer& trainer, const EpochInfo&) {
    on_interrupt(trainer);
  }
  /// When the run was asked to stop in the middle of an epoch.
  virtual void on_interrupt(const Trainer&) {}
  /// In the middle of an epoch, where Options::checkpoint_every asks for a checkpoint. Callbacks
  /// are called in the order in which they were added: add those that write files before those that
  /// save digests of these files.
  virtual void on_checkpoint(const Trainer&) {}
  /// After an evaluation on data that the model is not trained on.
  virtual void on_evaluation(const Trainer&, const EvaluationInfo&) {}
  /// Whether the run should end here. Asked before the first step, after each step, and after each
  /// epoch; on a device, of the steps only after those that needs_step() names.
  virtual bool wants_to_stop() const { return false; }
  /// Adds the notes that a checkpoint of this moment should hold about this callback's files.
  virtual void add_notes(Notes&) const {}
};

class Trainer {
 public:
  struct Options {
    double lr = 1e-3;
    Schedule schedule = {};  // how lr changes over the steps of the run
    double clip_norm = 0.0;  // gradients are scaled to at most this norm; 0: never
    /// Applied to the gradients of each step in this order, after clipping by clip_norm.
    std::vector<GradientTransform> transforms = {};
    WeightAverage* average = nullptr;  // takes in the weights of each step; outlives the trainer
    BestWeights* best = nullptr;       // kept by Validation; outlives the trainer
    /// The number of parts that a batch is cut into (gradient accumulation). Each has a tape,
    /// random numbers and a gradient of its own. More parts take less memory for the same batch.
    /// Another number gives other rounding and other random numbers.
    std::int64_t micro_batches = 1;
    std::int64_t epochs = 1;     // 0: no limit
    std::int64_t max_steps = 0;  // 0: no limit
    /// Of one call of run(); 0: no limit. The schedule ends with this time, see
    /// Schedule::steps_in_time(), unless epochs or max_steps end it earlier.
    double max_minutes = 0.0;
    /// The steps that the schedule spanned in a run that goes on; 0: not known. It counts with
    /// max_minutes only. Where the rate has begun to fall, the schedule keeps this span. Where it
    /// has not, or is at its end, the schedule ends with the time.
    std::int64_t schedule_steps = 0;
    std::int64_t checkpoint_every = 0;  // steps; 0: at the ends of epochs only
    std::uint64_t seed = 0;  // of the random numbers that layers draw: Pass::training(seed, step)
  };
  enum class Outcome { kDone, kInterrupted };

  /// Parameters, optimizer and loader must outlive the trainer. Requires that `loader` stands where
  /// `state` says. Throws Error when it stands elsewhere, when there is no model, when every
  /// parameter is frozen, when an option is below 0 or not finite, when epochs, max_steps and
  /// max_minutes are all 0, when clip_norm is above 0 and less than the smallest normal double,
  /// when micro_batches is below 1, for an empty transform, and as check_schedule().
  Trainer(Model model, ParameterBuffer& parameters, Optimizer& optimizer, DataLoader& loader,
          Options options, TrainState state = {});

  /// Throws Error for a null pointer.
  void add(std::unique_ptr<Callback> callback);

  /// Trains until the epochs, steps or minutes of the options are reached, a callback wants to
  /// stop, or `stop` becomes true. Returns kInterrupted only where `stop` ended it. Throws Diverged
  /// "[train] step 12: ..." at the step whose loss, gradient or updated parameter is not finite,
  /// before a callback hears of that step, and where the model throws NotFiniteError. The error
  /// names the parameter. It also names the first operation that gave such a number, where a second
  /// pass finds it. Throws Error where the model gives other terms or metrics than before, and what
  /// data, model and callbacks throw.
  /// On a device the host gives a step and hears of the one before, where Callback::needs_step()
  /// lets it. Kernels see a number that is not finite, and leave the parameters as they are from
  /// there on. So the run ends as it does on the CPU, but for these:
  ///   - Where a gradient is not finite, the CPU's optimizer has changed what it could of the
  ///     parameters, and the device has changed nothing.
  ///   - A callback that throws may leave parameters, optimizer and loader one step ahead. Another
  ///     run() then throws Error, as the loader stands elsewhere.
  ///   - `stop` and the end of the minutes may come one step later.
  Outcome run(const std::atomic<bool>& stop);

  /// One step: forward, backward, update. Returns sums and counts: of the loss, of its terms where
  /// there are several, of the model's metrics, and of what transforms add. With clip_norm the
  /// first of these is grad_norm, the norm before clipping. A batch that counts nothing changes
  /// neither parameters nor the optimizer's state. Throws as run().
  PoolVector<Metric> step(const Batch& batch);

  const Model& model() const { return model_; }
  const TrainState& state() const { return state_; }
  const Options& options() const { return options_; }
  ParameterBuffer& parameters() const { return parameters_; }
  Optimizer& optimizer() const { return optimizer_; }
  const DataLoader& loader() const { return loader_; }
  /// total_steps() of a run of which only its time is known as yet.
  static constexpr std::int64_t kUnknown = std::numeric_limits<std::int64_t>::max();
  /// The steps that the whole run will have, if nothing ends it earlier.
  std::int64_t total_steps() const { return total_steps_; }
  /// Whether run() would make a step: there is one left, and no callback wants to stop. Callbacks
  /// know it from their on_start() on.
  bool has_steps_left() const;
  /// Whether total_steps() is only a limit as yet: time is still to say how many steps the schedule
  /// spans.
  bool awaits_schedule() const { return awaits_schedule_; }
  /// The learning rate of step 0, 1, ...
  double learning_rate(std::int64_t step) const {
    return options_.lr * options_.schedule.factor(step, total_steps_);
  }
  /// Tells the callbacks of an evaluation.
  void tell_evaluation(const EvaluationInfo& evaluation) const;
  /// The notes that the callbacks add to a checkpoint of this moment.
  Notes notes() const;

 private:
  std::int64_t count_steps() const;
  void begin_schedule();
  void end_schedule_in_time(double seconds);
  // What the model made of a batch, and the sums of its terms as far as the host knows them.
  struct Summed {
    ModelOutput output;
    PoolVector<Metric> sums;
  };
  // A step that nobody has heard of yet.
  struct Given {
    Batch batch;  // to repeat the step with; none on the CPU, where it is explained at once
    DataPosition position;  // behind it
    double lr;
    Summed made;
    std::int64_t updates;  // that the optimizer made before it
  };
  // Of parameters on a device.
  struct Late {
    explicit Late(Device device) : update(device) {}
    LateResults results;
    LateUpdate update;
  };
  class Waits;

  void check_place_of_loader() const;
  void check_nothing_is_given() const;
  template <class F>
  auto or_forget_given(F f);
  Outcome run_steps(const std::atomic<bool>& stop);
  void give_next();
  void give(const Batch& batch, DataPosition position);
  void note_not_finite(const Given& given);
  void send(Given& given);
  void receive(Given& given);
  Given take_given();
  void forget_given();
  std::int64_t step_under_way() const { return state_.step + std::ssize(given_); }
  bool may_run_ahead(bool stops) const;
  bool fits_totals(const Given& given) const;
  bool is_out_of_time() const;
  void tell_step();

  ModelOutput run_model(const Batch& part, std::int64_t index);
  Summed pass(const Batch& batch);
  Summed pass_at_once(const Batch& batch);
  Summed pass_in_micro_batches(const Batch& batch);
  PoolVector<Metric> count_terms(const Batch& batch);
  // Calls f(index, part) for the parts that the batch is cut into, empty ones included.
  template <class F>
  void for_each_micro_batch(const Batch& batch, F f);
  PoolVector<Metric> sums_so_far(const Batch& batch, const ModelOutput& output);
  PoolVector<Metric> finite_sums(const Batch& batch, const ModelOutput& output);
  void check_finite(const Batch& batch, std::span<const Metric> sums);
  double transform_gradients(const Batch& batch, Summed& made, double lr);
  void update(const Batch& batch, double lr, double scale);
  // What a second pass finds, up to its forward or backward half; empty when it finds nothing.
  enum class Half { kForward, kBackward };
  [[noreturn]] void explain(const Batch& batch, std::string_view text, Half last);
  [[noreturn]] void explain_update(const Batch& batch, std::string_view text);
  [[noreturn]] void explain_late(Given& given, bool is_update);
  std::string first_not_finite(const Batch& batch, Half last);
  std::string first_not_finite(const Batch& part, std::int64_t index, Half last);
  void tell_epoch(bool is_last);
  bool wants_checkpoint(std::int64_t steps) const;
  bool a_callback_wants_to_stop() const;

  Model model_;
  ParameterBuffer& parameters_;
  Optimizer& optimizer_;
  DataLoader& loader_;
  Options options_;
  TrainState state_;
  std::int64_t total_steps_;
  std::int64_t first_step_ = 0;  // of this call of run()
  bool awaits_schedule_ = false;
  std::vector<std::unique_ptr<Callback>> callbacks_;
  std::unique_ptr<Late> late_;  // null on the CPU
  PoolVector<Given> given_;     // the oldest first; at most one on the CPU, and two on a device
  std::chrono::steady_clock::time_point run_start_, epoch_start_;
};

}  // namespace maskgrad
