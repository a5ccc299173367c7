// The loop that trains a model. It knows no model: one is a function from a batch to a loss.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <maskgrad/layers/pass.hpp>
#include <maskgrad/ops/nn/loss.hpp>
#include <maskgrad/tensor/cpu/pool_allocator.hpp>
#include <maskgrad/tensor/error.hpp>
#include <maskgrad/train/data/data_loader.hpp>
#include <maskgrad/train/metric.hpp>
#include <maskgrad/train/notes.hpp>
#include <maskgrad/train/optim/optimizer.hpp>

namespace maskgrad {

/// What a model makes of a batch: the loss to be lowered, and metrics to be watched.
struct ModelOutput {
  ops::SumCount loss;
  PoolVector<Metric> metrics = {};
};
using Model = std::function<ModelOutput(const Batch&, Pass&)>;

/// How far a run has come: together with weights and the optimizer's state, all that going on
/// needs.
struct TrainState {
  std::int64_t step = 0;       // steps done
  DataPosition position;       // of the next batch
  std::vector<Metric> totals;  // of the epoch under way: the loss, then the model's metrics
  std::int64_t skipped = 0;    // steps whose batch counted nothing, and so moved no weight
};

struct StepInfo {
  std::int64_t step;  // 0, 1, ...
  double loss;        // mean over the batch, before the step's update
};

/// An epoch, or what was done of it.
struct EpochInfo {
  std::int64_t epoch;    // 1, 2, ...
  std::int64_t steps;    // done in all
  std::int64_t batches;  // of this epoch: what the totals are of
  double seconds;        // spent in this epoch by this process
  std::span<const Metric> totals;
};

class Trainer;

/// What ends a run whose numbers are not finite any more. The same steps would end it again:
/// whoever goes on from what was saved takes a smaller learning rate.
class Diverged : public Error {
 public:
  using Error::Error;
};

/// Gets told what happens. Whatever it throws ends the run.
class Callback {
 public:
  virtual ~Callback() = default;
  virtual void on_start(const Trainer&) {}
  virtual void on_step(const StepInfo&) {}
  /// After the last step of an epoch.
  virtual void on_epoch(const Trainer&, const EpochInfo&) {}
  /// After the last step of all, where steps or minutes end the run in the middle of an epoch.
  virtual void on_end_within_epoch(const Trainer& trainer, const EpochInfo&) {
    on_interrupt(trainer);
  }
  /// When the run was asked to stop in the middle of an epoch.
  virtual void on_interrupt(const Trainer&) {}
  /// Adds what a checkpoint of this moment should say of this callback's files.
  virtual void add_notes(Notes&) const {}
};

class Trainer {
 public:
  struct Options {
    double lr = 1e-3;
    double clip_norm = 0.0;  // gradients are scaled to at most this norm; 0: never
    std::int64_t epochs = 1;
    std::int64_t max_steps = 0;  // 0: as many as the epochs have
    double max_minutes = 0.0;    // 0: no limit
    std::uint64_t seed = 0;  // of the random numbers that layers draw: Pass::training(seed, step)
  };
  enum class Outcome { kDone, kInterrupted };

  /// All four must outlive the trainer; `loader` stands where `state` says. Throws Error for no
  /// model, when the loader stands elsewhere, and for an option that is not finite.
  Trainer(Model model, ParameterBuffer& parameters, Optimizer& optimizer, DataLoader& loader,
          Options options, TrainState state = {});

  /// Throws Error for a null pointer.
  void add(std::unique_ptr<Callback> callback);

  /// Trains until the epochs, steps or minutes of the options are reached, or `stop` becomes true.
  /// Throws Diverged "[train] step 12: ..." at the step whose loss, gradient or updated parameter
  /// is not finite, before a callback hears of that step. It names the parameter, and the first
  /// operation that gave such a number, where a second pass finds it.
  Outcome run(const std::atomic<bool>& stop);

  /// One step: forward, backward, update. Returns the loss and metrics as sums and counts; with
  /// clip_norm the last of them is grad_norm, the norm before it was clipped. A batch that counts
  /// nothing moves no parameter, and nothing that the optimizer remembers. Throws as run().
  PoolVector<Metric> step(const Batch& batch);

  const TrainState& state() const { return state_; }
  const Options& options() const { return options_; }
  ParameterBuffer& parameters() const { return parameters_; }
  Optimizer& optimizer() const { return optimizer_; }
  const DataLoader& loader() const { return loader_; }
  /// Steps that the whole run will have, if no time limit ends it earlier.
  std::int64_t total_steps() const { return total_steps_; }
  /// What the callbacks have to say for a checkpoint of this moment.
  Notes notes() const;

 private:
  std::int64_t count_steps() const;
  ModelOutput run_model(const Batch& batch);
  void update(const Batch& batch, double scale);
  [[noreturn]] void explain_loss(const Batch& batch, double loss);
  [[noreturn]] void explain_update(const Batch& batch, std::string_view text);
  // What a second pass finds, up to its forward or backward half; empty when it finds nothing.
  enum class Half { kForward, kBackward };
  std::string first_not_finite(const Batch& batch, Half last);
  double finite_gradient_norm(const Batch& batch);
  double clip_scale(double norm) const;
  void report_epoch(std::int64_t epoch, double seconds);

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
