#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/cpu/denormals.hpp>
#include <maskgrad/train/finite_parameters.hpp>
#include <maskgrad/train/optim/gradient_norm.hpp>
#include <maskgrad/train/trainer.hpp>

namespace maskgrad {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

constexpr const char* kAdvice = "a smaller learning rate may help";

template <class... Args>
[[noreturn]] void diverge(fmt::format_string<Args...> format, Args&&... args) {
  throw Diverged("train", fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace

Trainer::Trainer(Model model, ParameterBuffer& parameters, Optimizer& optimizer, DataLoader& loader,
                 Options options, TrainState state)
    : model_(std::move(model)),
      parameters_(parameters),
      optimizer_(optimizer),
      loader_(loader),
      options_(options),
      state_(std::move(state)) {
  check(model_ != nullptr, "train", "there is no model to train");
  check(loader.position() == state_.position, "train",
        "the data loader stands elsewhere than the run");
  check(std::isfinite(options.lr), "train", "lr must be a finite number, not {}", options.lr);
  constexpr double kSmallest = std::numeric_limits<double>::min();  // steps see smaller ones as 0
  check(options.clip_norm == 0 || options.clip_norm >= kSmallest, "train",
        "clip_norm must be 0 or at least {}, not {}", kSmallest, options.clip_norm);
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
  for (bool done = state_.step >= total_steps(); !done;) {
    const Batch batch = loader_.next();
    const PoolVector<Metric> metrics = step(batch);
    add_metrics(state_.totals, metrics, "train");
    if (metrics.front().count == 0) ++state_.skipped;
    const std::int64_t epoch = state_.position.epoch + 1;
    state_.position = loader_.position();
    for (const auto& callback : callbacks_) {
      callback->on_step({state_.step, metrics.front().mean()});
    }
    ++state_.step;
    done = state_.step >= total_steps() || out_of_time();
    const bool stopped = stop;  // read once: it may become true at any time
    if (done || state_.position.batch == 0) {
      report_epoch(epoch, seconds_since(epoch_start));
      epoch_start = Clock::now();
    } else if (stopped) {
      for (const auto& callback : callbacks_) callback->on_interrupt(*this);
    }
    if (stopped && !done) return Outcome::kInterrupted;
  }
  return Outcome::kDone;
}

ModelOutput Trainer::run_model(const Batch& batch) {
  Pass pass = Pass::training(options_.seed, static_cast<std::uint64_t>(state_.step));
  return model_(batch, pass);
}

PoolVector<Metric> Trainer::step(const Batch& batch) {
  const FlushDenormals flush_denormals;
  Tape tape;
  ModelOutput output = run_model(batch);
  check_given(output.loss.sum.defined(), "train", "the loss");
  const Metric loss = {"loss", output.loss.sum.item(), output.loss.count};
  check(loss.count >= 0, "train", "step {}: the model counted {}", state_.step, loss.count);
  if (!std::isfinite(loss.sum)) explain_loss(batch, loss.sum);
  parameters_.clear_gradients();
  output.metrics.insert(output.metrics.begin(), loss);
  const bool counts = loss.count > 0;
  if (counts) tape.backward(output.loss.sum, 1.0 / static_cast<double>(loss.count));
  double scale = 1.0;
  if (options_.clip_norm > 0) {
    const double norm = counts ? finite_gradient_norm(batch) : 0.0;
    scale = clip_scale(norm);
    output.metrics.push_back({"grad_norm", norm, counts ? 1 : 0});
  }
  if (counts) update(batch, scale);
  return std::move(output.metrics);
}

void Trainer::update(const Batch& batch, double scale) {
  try {
    optimizer_.step(parameters_, options_.lr, scale);
  } catch (const Error& error) {
    explain_update(batch, error.text());
  }
}

void Trainer::explain_loss(const Batch& batch, double loss) {
  if (std::isnan(loss)) loss = std::abs(loss);  // "nan", never "-nan"
  if (const auto found = find_not_finite(parameters_, parameters_.values())) {
    diverge("step {}: the loss is {}; before this step parameter {} was not finite already: {}",
            state_.step, loss, found->parameter, kAdvice);
  }
  std::string first = first_not_finite(batch, Half::kForward);
  if (first.empty()) first = "no operation on the tape gave it";
  // Before the first step, the learning rate has done nothing yet.
  diverge("step {}: the loss is {}; first of all, {}{}{}", state_.step, loss, first,
          state_.step > 0 ? ": " : "", state_.step > 0 ? kAdvice : "");
}

void Trainer::explain_update(const Batch& batch, std::string_view text) {
  // With parameters that are not finite any more, operations are not to blame.
  const bool finite = !find_not_finite(parameters_, parameters_.values());
  const std::string first = finite ? first_not_finite(batch, Half::kBackward) : "";
  diverge("step {}: {}{}{}: {}", state_.step, text, first.empty() ? "" : "; first of all, ", first,
          kAdvice);
}

std::string Trainer::first_not_finite(const Batch& batch, Half last) {
  try {
    FiniteCheck check_finite;
    Tape tape({.observer = &check_finite});
    const ops::SumCount loss = run_model(batch).loss;
    if (last == Half::kForward || loss.count == 0) return "";
    parameters_.clear_gradients();
    tape.backward(loss.sum, 1.0 / static_cast<double>(loss.count));
  } catch (const Error& error) {
    return fmt::format("{} {}", error.name(), error.text());
  }
  return "";
}

double Trainer::finite_gradient_norm(const Batch& batch) {
  const double norm = gradient_norm(parameters_);
  if (std::isfinite(norm)) return norm;
  if (const auto found = find_not_finite(parameters_, parameters_.gradients())) {
    explain_update(batch, fmt::format("the gradient of {} is {} at element {}", found->parameter,
                                      found->value, found->element));
  }
  diverge("step {}: the norm of the gradients is more than a double holds: {}", state_.step,
          kAdvice);
}

double Trainer::clip_scale(double norm) const {
  const double scale = clip_factor(norm, options_.clip_norm);
  check(scale > 0, "train",
        "step {}: the gradients have norm {}; scaled to clip_norm {} nothing is left of them",
        state_.step, norm, options_.clip_norm);
  return scale;
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
