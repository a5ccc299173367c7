#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include <maskgrad/train/trainer.hpp>

namespace maskgrad {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

Trainer::Trainer(Model model, ParameterBuffer& parameters, Optimizer& optimizer, DataLoader& loader,
                 Options options, TrainState state)
    : model_(std::move(model)),
      parameters_(parameters),
      optimizer_(optimizer),
      loader_(loader),
      options_(std::move(options)),
      state_(std::move(state)) {
  check(model_ != nullptr, "train", "there is no model to train");
  check(loader.position() == state_.position, "train",
        "the data loader stands elsewhere than the run");
  check(std::isfinite(options_.lr), "train", "lr must be a finite number, not {}", options_.lr);
  constexpr double kSmallest = std::numeric_limits<double>::min();  // steps see smaller ones as 0
  check(options_.clip_norm == 0 || options_.clip_norm >= kSmallest, "train",
        "clip_norm must be 0 or at least {}, not {}", kSmallest, options_.clip_norm);
  check_schedule(options_.schedule);
  check(options_.checkpoint_every >= 0, "train", "checkpoint_every must be at least 0, not {}",
        options_.checkpoint_every);
  for (const GradientTransform& transform : options_.transforms) {
    check(transform != nullptr, "train", "a gradient transform is empty");
  }
  if (options_.clip_norm > 0) {
    options_.transforms.insert(options_.transforms.begin(),
                               maskgrad::clip_norm(options_.clip_norm));
  }
  check(parameters.count() == 0 || !parameters.leaves().empty(), "train",
        "every parameter is frozen: there is nothing to train");
  check(options_.micro_batches >= 1, "train", "micro_batches must be at least 1, not {}",
        options_.micro_batches);
  total_steps_ = count_steps();
}

void Trainer::add(std::unique_ptr<Callback> callback) {
  check(callback != nullptr, "train", "there is no callback to add");
  callbacks_.push_back(std::move(callback));
}

// What is done, and what is left of the epochs: a run may have gone on with data of another size.
std::int64_t Trainer::count_steps() const {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  std::int64_t left = 0, steps = 0;
  const bool too_many = __builtin_mul_overflow(options_.epochs - state_.position.epoch,
                                               loader_.batches_per_epoch(), &left) ||
                        __builtin_add_overflow(state_.step - state_.position.batch, left, &steps);
  if (too_many) steps = kMost;
  return options_.max_steps > 0 ? std::min(steps, options_.max_steps) : steps;
}

Notes Trainer::notes() const {
  Notes notes;
  for (const auto& callback : callbacks_) callback->add_notes(notes);
  return notes;
}

Trainer::Outcome Trainer::run(const std::atomic<bool>& stop) {
  for (const auto& callback : callbacks_) callback->on_start(*this);
  const Clock::time_point start = Clock::now();
  Clock::time_point epoch_start = start;
  const auto out_of_time = [&] {
    return options_.max_minutes > 0 && seconds_since(start) >= options_.max_minutes * 60.0;
  };
  for (bool done = state_.step >= total_steps() || a_callback_wants_to_stop(); !done;) {
    const Batch batch = loader_.next();
    const PoolVector<Metric> metrics = step(batch);
    add_metrics(state_.totals, metrics, "train");
    if (metrics.front().count == 0) ++state_.skipped;
    const std::int64_t epoch = state_.position.epoch + 1;
    state_.position = loader_.position();
    const StepInfo info = {state_.step, metrics.front().mean(), learning_rate(state_.step)};
    ++state_.step;
    for (const auto& callback : callbacks_) callback->on_step(*this, info);
    done = state_.step >= total_steps() || out_of_time() || a_callback_wants_to_stop();
    const bool stopped = stop;  // read once: it may become true at any time
    if (done || state_.position.batch == 0) {
      report_epoch(epoch, seconds_since(epoch_start));
      epoch_start = Clock::now();
    } else if (stopped) {
      for (const auto& callback : callbacks_) callback->on_interrupt(*this);
    } else if (wants_checkpoint()) {
      for (const auto& callback : callbacks_) callback->on_checkpoint(*this);
    }
    if (stopped && !done) return Outcome::kInterrupted;
  }
  return Outcome::kDone;
}

void Trainer::report(const EvaluationInfo& evaluation) const {
  for (const auto& callback : callbacks_) callback->on_evaluation(*this, evaluation);
}

bool Trainer::a_callback_wants_to_stop() const {
  return std::any_of(callbacks_.begin(), callbacks_.end(),
                     [](const auto& callback) { return callback->wants_to_stop(); });
}

bool Trainer::wants_checkpoint() const {
  return options_.checkpoint_every > 0 && state_.step % options_.checkpoint_every == 0;
}

void Trainer::report_epoch(std::int64_t epoch, double seconds) {
  const std::vector<Metric> totals = state_.totals;
  const std::int64_t batches = state_.position.batch;
  if (batches == 0) {
    state_.totals.clear();
    const EpochInfo info = {epoch, state_.step, loader_.batches_per_epoch(), seconds, totals};
    for (const auto& callback : callbacks_) callback->on_epoch(*this, info);
  } else {
    const EpochInfo info = {epoch, state_.step, batches, seconds, totals};
    for (const auto& callback : callbacks_) callback->on_end_within_epoch(*this, info);
  }
}

}  // namespace maskgrad
