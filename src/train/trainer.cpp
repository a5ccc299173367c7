#include <algorithm>
#include <chrono>
#include <cmath>

#include <maskgrad/tensor/cpu/denormals.hpp>
#include <maskgrad/tensor/tape.hpp>
#include <maskgrad/train/gradient_norm.hpp>
#include <maskgrad/train/trainer.hpp>

namespace maskgrad {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

bool all_finite(const Tensor& x) {
  return dispatch_dtype(FloatingTypes{}, x.dtype(), "train", [&]<class T>(T) {
    return std::all_of(x.data<T>(), x.data<T>() + x.numel(), [](T v) { return std::isfinite(v); });
  });
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
  check(loader.position() == state_.position, "train",
        "the data loader stands elsewhere than the run");
}

std::int64_t Trainer::total_steps() const {
  const std::int64_t steps = options_.epochs * loader_.batches_per_epoch();
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
    add_to_totals(metrics);
    const std::int64_t epoch = state_.position.epoch + 1;
    state_.position = loader_.position();
    for (const auto& callback : callbacks_) {
      callback->on_step({state_.step, metrics.front().mean()});
    }
    ++state_.step;
    done = state_.step >= total_steps() || out_of_time();
    const bool stopped = stop;  // read once: it may become true at any time
    if (done || state_.position.batch == 0) {
      end_epoch(epoch, seconds_since(epoch_start));
      epoch_start = Clock::now();
    } else if (stopped) {
      for (const auto& callback : callbacks_) callback->on_interrupt(*this);
    }
    if (stopped && !done) return Outcome::kInterrupted;
  }
  return Outcome::kDone;
}

PoolVector<Metric> Trainer::step(const Batch& batch) {
  const FlushDenormals flush_denormals;
  Tape tape;
  ModelOutput output = model_(batch);
  const Metric loss = {"loss", output.loss.sum.item(), output.loss.count};
  if (!std::isfinite(loss.sum)) explain_divergence(batch, loss.sum);
  parameters_.clear_gradients();
  if (loss.count > 0) tape.backward(output.loss.sum, 1.0 / static_cast<double>(loss.count));
  output.metrics.insert(output.metrics.begin(), loss);
  double scale = 1.0;
  if (options_.clip_norm > 0) {
    const double norm = checked_gradient_norm();
    scale = clip_factor(norm, options_.clip_norm);
    output.metrics.push_back({"grad_norm", norm, 1});
  }
  optimizer_.step(parameters_, options_.lr, scale);
  return std::move(output.metrics);
}

void Trainer::explain_divergence(const Batch& batch, double loss) {
  if (std::isnan(loss)) loss = std::abs(loss);  // "nan", never "-nan"
  for (const ParameterBuffer::Entry& entry : parameters_.entries()) {
    check(
        all_finite(entry.parameter->variable().value()), "train",
        "step {}: the loss is {}; before this step parameter {} was not finite already: a smaller "
        "learning rate may help",
        state_.step, loss, entry.name);
  }
  std::string first = "no operation on the tape gave it";
  try {
    FiniteCheck check_finite;
    const Tape tape({.observer = &check_finite});
    model_(batch);
  } catch (const Error& error) {
    first = fmt::format("{} {}", error.name(), error.text());
  }
  fail("train", "step {}: the loss is {}; first of all, {}", state_.step, loss, first);
}

double Trainer::checked_gradient_norm() {
  const double norm = gradient_norm(parameters_);
  if (std::isfinite(norm)) return norm;
  std::string culprit = "the squares of the gradients overflow";
  for (const ParameterBuffer::Entry& entry : parameters_.entries()) {
    const Tensor gradient = entry.parameter->variable().grad();
    if (!gradient.defined() || all_finite(gradient)) continue;
    culprit = fmt::format("the gradient of {} is not finite", entry.name);
    break;
  }
  fail("train", "step {}: {}, so that clip_norm cannot be kept: a smaller learning rate may help",
       state_.step, culprit);
}

void Trainer::add_to_totals(std::span<const Metric> metrics) {
  if (state_.totals.empty()) {
    for (const Metric& metric : metrics) state_.totals.push_back({metric.name});
  }
  check(state_.totals.size() == metrics.size(), "train",
        "the model gave {} metrics, before it gave {}", metrics.size(), state_.totals.size());
  for (std::size_t i = 0; i < metrics.size(); ++i) state_.totals[i] += metrics[i];
}

void Trainer::end_epoch(std::int64_t epoch, double seconds) {
  const std::vector<Metric> totals = state_.totals;
  if (state_.position.batch == 0) state_.totals.clear();
  for (const auto& callback : callbacks_)
    callback->on_epoch(*this, {epoch, state_.step, seconds, totals});
}

}  // namespace maskgrad
