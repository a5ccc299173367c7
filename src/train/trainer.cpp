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

void check_options(const Trainer::Options& options) {
  const auto check_number = [](const char* name, double value) {
    check(std::isfinite(value) && value >= 0, "train", "{} must be finite and at least 0, not {}",
          name, value);
  };
  const auto check_count = [](const char* name, std::int64_t value, std::int64_t least) {
    check(value >= least, "train", "{} must be at least {}, not {}", name, least, value);
  };
  check_number("lr", options.lr);
  check_number("max_minutes", options.max_minutes);
  check_count("micro_batches", options.micro_batches, 1);
  check_count("epochs", options.epochs, 0);
  check_count("max_steps", options.max_steps, 0);
  check_count("schedule_steps", options.schedule_steps, 0);
  check_count("checkpoint_every", options.checkpoint_every, 0);
  check(options.epochs > 0 || options.max_steps > 0 || options.max_minutes > 0, "train",
        "epochs, steps and minutes are all 0: nothing would end the run");
  constexpr double kSmallest = std::numeric_limits<double>::min();  // steps see smaller ones as 0
  const bool is_norm = std::isfinite(options.clip_norm) && options.clip_norm >= kSmallest;
  check(options.clip_norm == 0 || is_norm, "train",
        "clip_norm must be 0, or finite and at least {}, not {}", kSmallest, options.clip_norm);
  check_schedule(options.schedule);
  for (const GradientTransform& transform : options.transforms) {
    check(transform != nullptr, "train", "a gradient transform is empty");
  }
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
  check_place_of_loader();
  check_options(options_);
  optimizer.check_fits(parameters);
  if (options_.average) options_.average->check_fits(parameters);
  if (options_.clip_norm > 0) {
    options_.transforms.insert(options_.transforms.begin(),
                               maskgrad::clip_norm(options_.clip_norm));
  }
  check(parameters.count() == 0 || !parameters.leaves().empty(), "train",
        "every parameter is frozen: there is nothing to train");
  total_steps_ = count_steps();
  begin_schedule();
  const Device device = parameters.values().device();
  if (device.type != DeviceType::kCpu) late_ = std::make_unique<Late>(device);
}

void Trainer::check_place_of_loader() const {
  check(loader_.position() == state_.position, "train",
        "the data loader stands elsewhere than the run");
}

void Trainer::add(std::unique_ptr<Callback> callback) {
  check(callback != nullptr, "train", "there is no callback to add");
  callbacks_.push_back(std::move(callback));
}

// What is done, and what is left of the epochs: a run may have gone on with data of another size.
std::int64_t Trainer::count_steps() const {
  std::int64_t left = 0, steps = 0;
  const bool too_many = options_.epochs == 0 ||
                        __builtin_mul_overflow(options_.epochs - state_.position.epoch,
                                               loader_.batches_per_epoch(), &left) ||
                        __builtin_add_overflow(state_.step - state_.position.batch, left, &steps);
  if (too_many) steps = kUnknown;
  return options_.max_steps > 0 ? std::min(steps, options_.max_steps) : steps;
}

void Trainer::begin_schedule() {
  const Schedule& schedule = options_.schedule;
  if (options_.max_minutes == 0 || schedule.kind == Schedule::Kind::kConstant) return;
  const std::int64_t step = state_.step, span = options_.schedule_steps;
  const bool falls = span > step && schedule.factor(step, span) < schedule.factor(step, kUnknown);
  if (falls) total_steps_ = std::min(total_steps_, span);
  awaits_schedule_ = !falls;
}

// A small part of the time stays for what comes behind the last step.
void Trainer::end_schedule_in_time(double seconds) {
  constexpr double kForTraining = 0.98;
  if (!awaits_schedule_) return;
  const double used = seconds / (options_.max_minutes * 60.0 * kForTraining);
  const auto steps = options_.schedule.steps_in_time(state_.step, state_.step - first_step_, used);
  if (!steps) return;
  total_steps_ = std::min(total_steps_, std::max(*steps, step_under_way()));
  awaits_schedule_ = false;
}

Notes Trainer::notes() const {
  Notes notes;
  for (const auto& callback : callbacks_) callback->add_notes(notes);
  return notes;
}

Trainer::Outcome Trainer::run_steps(const std::atomic<bool>& stop) {
  check_place_of_loader();
  for (const auto& callback : callbacks_) callback->on_start(*this);
  run_start_ = epoch_start_ = Clock::now();
  first_step_ = state_.step;
  for (bool done = !has_steps_left(); !done;) {
    if (given_.empty() || (!stop && step_under_way() < total_steps())) give_next();
    const std::size_t ahead = may_run_ahead(stop) ? 1 : 0;
    while (given_.size() > ahead) tell_step();
    if (ahead > 0) continue;
    const bool stopped = stop;  // read once: it may become true at any time
    done = !has_steps_left() || is_out_of_time();
    if (done || state_.position.batch == 0) {
      tell_epoch(done);
      done = done || a_callback_wants_to_stop();  // by what it did with the epoch
      epoch_start_ = Clock::now();
    } else if (stopped) {
      for (const auto& callback : callbacks_) callback->on_interrupt(*this);
    } else if (wants_checkpoint(state_.step)) {
      for (const auto& callback : callbacks_) callback->on_checkpoint(*this);
    }
    if (stopped && !done) return Outcome::kInterrupted;
  }
  return Outcome::kDone;
}

bool Trainer::is_out_of_time() const {
  return options_.max_minutes > 0 && seconds_since(run_start_) >= options_.max_minutes * 60.0;
}

// Whether the next step may be given before anybody has heard of the newest.
bool Trainer::may_run_ahead(bool stops) const {
  if (!late_ || stops || is_out_of_time()) return false;
  const std::int64_t steps = step_under_way();
  const bool is_inside_epoch = given_.back().position.batch != 0;
  return is_inside_epoch && steps < total_steps() && !wants_checkpoint(steps) &&
         fits_totals(given_.back()) &&
         std::none_of(callbacks_.begin(), callbacks_.end(),
                      [&](const auto& callback) { return callback->needs_step(steps); });
}

// Whether the totals so far are of what the step reports. Where they are not, the run may end with
// it.
bool Trainer::fits_totals(const Given& given) const {
  const auto& [output, sums] = given.made;
  auto total = state_.totals.begin();
  const auto left = [&] { return static_cast<std::size_t>(state_.totals.end() - total); };
  const auto is_next = [&](const auto& metric) { return total++->name == metric.name; };
  if (left() == 0) return false;
  ++total;  // the whole loss
  if (sums.size() > 1) {
    if (left() < sums.size() || !std::all_of(sums.begin(), sums.end(), is_next)) return false;
  }
  return left() == output.metrics.size() &&
         std::all_of(output.metrics.begin(), output.metrics.end(), is_next);
}

void Trainer::give_next() {
  try {
    const Batch batch = loader_.next();
    give(batch, loader_.position());
  } catch (...) {
    while (!given_.empty()) tell_step();  // what came before
    throw;
  }
}

// Of the oldest that was given.
void Trainer::tell_step() {
  const Given given = take_given();
  const PoolVector<Metric> metrics = reported(given.made.output, given.made.sums);
  add_metrics(state_.totals, metrics, "train");
  if (metrics.front().count == 0) ++state_.skipped;
  state_.position = given.position;
  const StepInfo info = {state_.step, metrics.front().mean(), given.lr};
  ++state_.step;
  end_schedule_in_time(seconds_since(run_start_));
  for (const auto& callback : callbacks_) callback->on_step(*this, info);
}

void Trainer::tell_evaluation(const EvaluationInfo& evaluation) const {
  for (const auto& callback : callbacks_) callback->on_evaluation(*this, evaluation);
}

bool Trainer::has_steps_left() const {
  return state_.step < total_steps() && !a_callback_wants_to_stop();
}

bool Trainer::a_callback_wants_to_stop() const {
  return std::any_of(callbacks_.begin(), callbacks_.end(),
                     [](const auto& callback) { return callback->wants_to_stop(); });
}

bool Trainer::wants_checkpoint(std::int64_t steps) const {
  return options_.checkpoint_every > 0 && steps % options_.checkpoint_every == 0;
}

void Trainer::tell_epoch(bool is_last) {
  const std::vector<Metric> totals = state_.totals;
  const std::int64_t batches = state_.position.batch;
  const std::int64_t epoch = state_.position.epoch + (batches > 0 ? 1 : 0);
  const double seconds = seconds_since(epoch_start_);
  if (batches == 0) {
    state_.totals.clear();
    const EpochInfo info = {epoch,   state_.step, loader_.batches_per_epoch(),
                            seconds, totals,      is_last};
    for (const auto& callback : callbacks_) callback->on_epoch(*this, info);
  } else {
    const EpochInfo info = {epoch, state_.step, batches, seconds, totals, is_last};
    for (const auto& callback : callbacks_) callback->on_end_within_epoch(*this, info);
  }
}

}  // namespace maskgrad
