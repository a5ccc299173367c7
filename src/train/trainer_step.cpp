// One step of the trainer: forward, backward, update; and why it failed where it did.
#include <algorithm>
#include <cmath>
#include <limits>

#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/cpu/denormals.hpp>
#include <maskgrad/tensor/cuda/device_step.hpp>
#include <maskgrad/tensor/readable.hpp>
#include <maskgrad/train/advice.hpp>
#include <maskgrad/train/finite_parameters.hpp>
#include <maskgrad/train/micro_batch_tree.hpp>
#include <maskgrad/train/trainer.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "train";

// Whether a batch counted anything.
bool counts(std::span<const Metric> sums) {
  return std::any_of(sums.begin(), sums.end(), [](const Metric& sum) { return sum.count > 0; });
}

template <class... Args>
[[noreturn]] void diverge(fmt::format_string<Args...> format, Args&&... args) {
  throw Diverged(kName, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace

// The numbers are those of the step and the micro-batch: those of all steps are counted through.
ModelOutput Trainer::run_model(const Batch& part, std::int64_t index) {
  const auto step = static_cast<std::uint64_t>(step_under_way()),  // may wrap, far beyond any run
      count = static_cast<std::uint64_t>(options_.micro_batches);
  Pass pass = Pass::training_part(options_.seed, step, static_cast<std::uint64_t>(index), count);
  return model_(part, pass);
}

void Trainer::give(const Batch& batch, DataPosition position) {
  const FlushDenormals flush_denormals;
  DeviceStep on_device(parameters_.values().device());
  const double lr = learning_rate(step_under_way());
  Given given = {late_ ? batch : Batch{}, position, lr, pass(batch), optimizer_.steps()};
  note_not_finite(given);
  const double scale = transform_gradients(batch, given.made, lr);
  try {
    if (counts(given.made.sums)) update(batch, lr, scale);
    send(given);
    on_device.end();
  } catch (...) {
    if (late_) optimizer_.set_steps(given.updates);
    throw;
  }
  given_.push_back(std::move(given));
}

// Forward and backward.
Trainer::Summed Trainer::pass(const Batch& batch) {
  try {
    return options_.micro_batches == 1 ? pass_at_once(batch) : pass_in_micro_batches(batch);
  } catch (const NotFiniteError& error) {
    explain(batch, text_of(error, kName), Half::kBackward);
  }
}

Trainer::Summed Trainer::pass_at_once(const Batch& batch) {
  Tape tape;
  ModelOutput output = run_model(batch, 0);
  PoolVector<Metric> sums = sums_so_far(batch, output);
  parameters_.clear_gradients();
  const auto [root, seed] = objective_of(output, sums);
  if (root.defined()) tape.backward(root, seed);
  return {std::move(output), std::move(sums)};
}

template <class F>
void Trainer::for_each_micro_batch(const Batch& batch, F f) {
  const std::int64_t count = options_.micro_batches;
  if (count == 1) return f(std::int64_t{0}, batch);
  const std::int64_t samples = batch.size();
  check(samples < std::numeric_limits<std::int64_t>::max() / count, kName,
        "{} micro-batches of {} samples are more than can be counted", count, samples);
  for (std::int64_t index = 0; index < count; ++index) {
    const std::int64_t first = index * samples / count, end = (index + 1) * samples / count;
    f(index, batch.part(first, end - first));
  }
}

// The count of a term is known when all micro-batches have run. Where there is one term, it divides
// the sum of their gradients; where there are several, the model runs forward twice.
Trainer::Summed Trainer::pass_in_micro_batches(const Batch& batch) {
  MicroBatchTree tree(options_.micro_batches);
  ModelOutput last;
  PoolVector<Metric> counted;
  for_each_micro_batch(batch, [&](std::int64_t index, const Batch& part) {
    if (part.size() == 0) return tree.add(index, {});
    Tape tape;
    ModelOutput output = run_model(part, index);
    MicroBatchSums sums = {{}, finite_sums(batch, output)};
    const bool are_several = sums.metrics.size() > 1;
    if (are_several && counted.empty()) counted = count_terms(batch);
    parameters_.clear_gradients();
    const Objective objective = are_several
                                    ? objective_of(output, counted)
                                    : Objective{output.terms[0].sum, output.terms[0].weight};
    if (total_loss(output, sums.metrics).count > 0) {
      tape.backward(objective.root, objective.seed);
      sums.gradients = parameters_.gradients();
    }
    for (const BatchMetric& metric : output.metrics) sums.metrics.push_back(metric.read());
    tree.add(index, sums);
    last = std::move(output);
  });
  MicroBatchSums all = tree.finish();
  const auto terms = all.metrics.begin() + static_cast<std::ptrdiff_t>(last.terms.size());
  last.metrics.assign(terms, all.metrics.end());
  all.metrics.erase(terms, all.metrics.end());
  parameters_.clear_gradients();
  if (all.gradients.defined()) {
    const double count = static_cast<double>(all.metrics[0].count);
    parameters_.set_gradients(all.gradients, all.metrics.size() > 1 ? 1.0 : 1.0 / count);
  }
  for (std::size_t i = 0; i < last.terms.size(); ++i) {
    last.terms[i].sum = Variable(Tensor::full({}, all.metrics[i].sum, DType::kFloat64));
  }
  return {std::move(last), std::move(all.metrics)};
}

// What the terms count in all micro-batches.
PoolVector<Metric> Trainer::count_terms(const Batch& batch) {
  const NoGrad no_grad;
  MicroBatchTree tree(options_.micro_batches);
  for_each_micro_batch(batch, [&](std::int64_t index, const Batch& part) {
    MicroBatchSums sums;
    if (part.size() > 0) sums.metrics = finite_sums(batch, run_model(part, index));
    tree.add(index, sums);
  });
  return tree.finish().metrics;
}

// Those on a device are 0 until they are here.
PoolVector<Metric> Trainer::sums_so_far(const Batch& batch, const ModelOutput& output) {
  if (!late_) return finite_sums(batch, output);
  PoolVector<Metric> sums = loss_counts(output, kName);
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const Variable& sum = output.terms[i].sum;
    if (sum.device().type == DeviceType::kCpu) sums[i].sum = sum.item();
  }
  check_finite(batch, sums);
  return sums;
}

PoolVector<Metric> Trainer::finite_sums(const Batch& batch, const ModelOutput& output) {
  PoolVector<Metric> sums = loss_sums(output, kName);
  check_finite(batch, sums);
  return sums;
}

void Trainer::check_finite(const Batch& batch, std::span<const Metric> sums) {
  for (const Metric& sum : sums) {
    check(sum.count >= 0, kName, "step {}: the model counted {}", step_under_way(), sum.count);
    if (std::isfinite(sum.sum)) continue;
    const std::string what = sums.size() > 1 ? fmt::format("loss '{}'", sum.name) : "loss";
    explain(batch, fmt::format("the {} is {}", what, readable(sum.sum)), Half::kForward);
  }
}

// Returns what the update scales gradients with.
double Trainer::transform_gradients(const Batch& batch, Summed& made, double lr) {
  GradientStep step = {.parameters = parameters_,
                       .step = step_under_way(),
                       .lr = lr,
                       .counts = counts(made.sums),
                       .metrics = made.output.metrics};
  try {
    for (const GradientTransform& transform : options_.transforms) {
      if (late_ && &transform == &options_.transforms.back()) step.late = &late_->update;
      transform(step);
    }
  } catch (const Error& error) {
    // A loss that is not finite comes first, though nobody has looked at it yet.
    if (late_) check_finite(batch, loss_sums(made.output, kName));
    if (dynamic_cast<const Diverged*>(&error)) explain_update(batch, error.text());
    throw;
  }
  return step.scale;
}

void Trainer::update(const Batch& batch, double lr, double scale) {
  const std::int64_t step = step_under_way();
  if (late_) {
    optimizer_.step_late(parameters_, lr, scale, late_->update);
    if (options_.average) options_.average->update(parameters_, step, late_->update);
    return;
  }
  try {
    optimizer_.step(parameters_, lr, scale);
  } catch (const Error& error) {
    explain_update(batch, error.text());
  }
  if (options_.average) options_.average->update(parameters_, step);
}

void Trainer::explain(const Batch& batch, std::string_view text, Half last) {
  if (const auto found = find_not_finite(parameters_, parameters_.values())) {
    diverge("step {}: {}; before this step parameter {} was not finite already: {}",
            step_under_way(), text, found->parameter, kLearnSlower);
  }
  std::string first = first_not_finite(batch, last);
  if (first.empty()) first = "no operation on the tape gave it";
  // Before the first step, the learning rate has done nothing yet.
  const std::int64_t step = step_under_way();
  diverge("step {}: {}; first of all, {}{}{}", step, text, first, step > 0 ? ": " : "",
          step > 0 ? kLearnSlower : "");
}

void Trainer::explain_update(const Batch& batch, std::string_view text) {
  // With parameters that are not finite any more, operations are not to blame.
  const bool finite = !find_not_finite(parameters_, parameters_.values());
  const std::string first = finite ? first_not_finite(batch, Half::kBackward) : "";
  diverge("step {}: {}{}{}: {}", step_under_way(), text, first.empty() ? "" : "; first of all, ",
          first, kLearnSlower);
}

std::string Trainer::first_not_finite(const Batch& batch, Half last) {
  std::string first;
  for_each_micro_batch(batch, [&](std::int64_t index, const Batch& part) {
    if (first.empty() && part.size() > 0) first = first_not_finite(part, index, last);
  });
  return first;
}

std::string Trainer::first_not_finite(const Batch& part, std::int64_t index, Half last) {
  try {
    FiniteCheck check_finite;
    Tape tape({.observer = &check_finite});
    const ModelOutput output = run_model(part, index);
    if (last == Half::kForward) return "";
    const auto [root, seed] = objective_of(output, loss_sums(output, kName));
    if (!root.defined()) return "";
    parameters_.clear_gradients();
    tape.backward(root, seed);
  } catch (const NotFiniteError&) {
    return "";  // what is explained here
  } catch (const Error& error) {
    return fmt::format("{} {}", error.name(), error.text());
  }
  return "";
}

}  // namespace maskgrad
