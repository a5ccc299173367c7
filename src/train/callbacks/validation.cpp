#include <maskgrad/train/advice.hpp>
#include <maskgrad/train/callbacks/validation.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "validation";

}  // namespace

Validation::Validation(const Dataset& data, Options options)
    : data_(data), options_(std::move(options)) {
  check(data.size() > 0, kName, "there are no samples");
  check(options_.batch_size >= 1, kName, "batch_size must be at least 1, not {}",
        options_.batch_size);
  check(options_.every_steps >= 0, kName, "every_steps must be at least 0, not {}",
        options_.every_steps);
  check(options_.patience >= 0, kName, "patience must be at least 0, not {}", options_.patience);
  fingerprint_ = data.fingerprint();
}

void Validation::on_start(const Trainer& trainer) {
  best_ = trainer.options().best;
  check(best_ != nullptr, kName, "the trainer has no Options::best to keep weights in");
  if (!options_.warn) return;
  if (best_->defined() && !is_of_these_data(*best_)) {
    options_.warn(fmt::format(
        "the validation data are others than before: {} were, {} are; the best weights are sought "
        "anew",
        best_->data, fingerprint_));
  }
  const bool has_steps_left = trainer.state().step < trainer.total_steps();
  if (best_->defined() && best_->at_end && has_steps_left) {
    options_.warn(
        fmt::format("the best weights are those of step {}, where the run ended before; a run that "
                    "is this long from the start does not validate there, so the next "
                    "validation begins without them",
                    best_->step));
  }
  if (wants_to_stop() && has_steps_left) {
    options_.warn(
        fmt::format("nothing beat the best validation {} times: a larger patience goes on",
                    best_->of_regular().since));
  }
}

void Validation::on_step(const Trainer& trainer, const StepInfo&) {
  if (validates_at(trainer.state().step)) validate(trainer, true);
}

void Validation::on_epoch(const Trainer& trainer, const EpochInfo& epoch) {
  const bool is_regular = options_.every_steps == 0;
  if (is_regular || epoch.is_last) validate(trainer, is_regular);
}

void Validation::on_end_within_epoch(const Trainer& trainer, const EpochInfo&) {
  validate(trainer, false);
}

bool Validation::wants_to_stop() const {
  if (options_.patience == 0 || best_ == nullptr) return false;
  const BestWeights& regular = best_->of_regular();
  return regular.defined() && is_of_these_data(regular) && regular.since >= options_.patience;
}

std::vector<Metric> Validation::evaluate_at(const Trainer& trainer) const {
  try {
    return evaluate(trainer.model(), data_, options_.batch_size);
  } catch (const Diverged& error) {
    throw Diverged(
        kName, fmt::format("step {}: {}: {}", trainer.state().step, error.text(), kLearnSlower));
  } catch (const Error& error) {
    throw Error(kName,
                fmt::format("step {}: {}: {}", trainer.state().step, error.name(), error.text()));
  }
}

void Validation::keep(const Trainer& trainer, double loss, bool is_regular) {
  if (!is_regular && !best_->at_end && best_->defined()) {
    auto regular = std::make_shared<const BestWeights>(*best_);
    *best_ = {.data = fingerprint_, .regular = std::move(regular)};
  }
  if (!best_->defined()) best_->values = trainer.parameters().zeros_beside(2);
  best_->values.copy_from(trainer.parameters().values());
  best_->step = last_step_;
  best_->loss = loss;
  best_->since = 0;
  best_->at_end = !is_regular;
}

void Validation::validate(const Trainer& trainer, bool is_regular) {
  if (trainer.state().step == last_step_) return;
  last_step_ = trainer.state().step;
  const WithAverage with_average(trainer.options().average, trainer.parameters());
  const std::vector<Metric> totals = evaluate_at(trainer);
  const bool is_best =
      last_step_ >= options_.best_from && compare(trainer, totals.front().mean(), is_regular);
  trainer.tell_evaluation({last_step_, totals, is_best});
}

bool Validation::compare(const Trainer& trainer, double loss, bool is_regular) {
  if (is_regular) *best_ = BestWeights(best_->of_regular());
  if (!best_->defined() || !is_of_these_data(*best_)) *best_ = {.data = fingerprint_};
  const bool is_best = loss < best_->loss;
  if (is_best) {
    keep(trainer, loss, is_regular);
  } else if (is_regular) {
    ++best_->since;
  }
  return is_best;
}

}  // namespace maskgrad
