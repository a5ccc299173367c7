#include "recipes/distractors/mask_figures.hpp"

#include <algorithm>
#include <chrono>

#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/train/data/distractors.hpp>

#include "recipes/distractors/token_drops.hpp"

namespace maskgrad::apps {
namespace {

// In microseconds.
template <class Step>
double time_of(const Step& step) {
  const auto begin = std::chrono::steady_clock::now();
  step();
  const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - begin;
  return time.count();
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + std::ssize(values) / 2;
  std::ranges::nth_element(values, middle);
  return *middle;
}

std::string us_text(double time) { return fmt::format("{:.0f}", time); }

std::string percent(double share) { return fmt::format("{:.2f} %", 100 * share); }

std::string percent(const Metric& metric) {
  return metric.count > 0 ? percent(metric.mean()) : "-";
}

}  // namespace

void MaskFigures::add(const Batch& batch, SelectiveRun& run) {
  const NoGrad no_grad;
  const auto right = [&](const Variable& answer) {
    return to_metric("accuracy", ops::sequence_accuracy(answer, batch.targets)).read();
  };
  const auto accuracy = [&](const SequenceMask& mask) {
    Pass pass;
    return right(run.answer(batch, mask, pass));
  };
  const SequenceMask mask = run.mask_of(batch);
  accuracy_ += accuracy(mask);
  accuracy_oracle_ += accuracy(oracle_mask(batch));
  if (run.has_selector()) {
    const SelectiveRun::SoftMask soft = run.soft_mask_of(batch);
    accuracy_soft_ += right(soft.answer);
    shares_.insert(shares_.end(), soft.shares.begin(), soft.shares.end());
  }
  read_.sum += static_cast<double>(mask.kept());
  read_.count += existing(batch).kept();
  kept_ += kept_counts(batch, mask);
  add_patterns(batch, mask);
}

// Which tokens of each problem are kept, and the answer.
void MaskFigures::add_patterns(const Batch& batch, const SequenceMask& mask) {
  const Tensor uses = batch["use"];
  const std::int64_t length = batch.inputs.dim(1);
  for (std::int64_t b = 0; b < batch.inputs.dim(0); ++b) {
    std::string pattern;
    for (std::int64_t i = b * length; i < (b + 1) * length; ++i) {
      const auto use = static_cast<TokenUse>(uses.data<std::int64_t>()[i]);
      if (use != TokenUse::kNeeded && use != TokenUse::kSpare) continue;
      pattern += mask.bits().data<bool>()[i] ? '1' : '0';
    }
    const std::int64_t* const answer =
        batch.targets.data<std::int64_t>() + b * batch.targets.dim(1);
    pattern_.add(pattern, 10'000 * answer[0] + 100 * answer[1] + answer[2]);
  }
}

// By turns, so that what else the machine does slows both down.
void MaskFigures::time(const Batch& batch, SelectiveRun& run, bool has_mask) {
  constexpr int kRuns = 31, kFirst = 2;
  const SequenceMask own = run.mask_of(batch), all = existing(batch);
  const auto step = [&](const SequenceMask& mask) {
    Tape tape;
    Pass pass = Pass::training(0, 0);
    const Variable loss = ops::cross_entropy(run.answer(batch, mask, pass), batch.targets).sum;
    tape.backward(loss);
    loss.item();  // waits for all that a device was given
  };
  std::vector<double> mask, hard, full;
  for (int i = 0; i < kRuns + kFirst; ++i) {
    const double made = has_mask ? time_of([&] { run.mask_of(batch); }) : 0;
    const double with = has_mask ? time_of([&] { step(own); }) : 0;
    const double without = time_of([&] { step(all); });
    if (i < kFirst) continue;
    mask.push_back(made);
    hard.push_back(with);
    full.push_back(without);
  }
  if (has_mask) us_of_mask_ = {.mask = median(mask), .hard = median(hard)};
  us_full_ = median(full);
}

double MaskFigures::undecided() const { return maskgrad::undecided(shares_); }

double MaskFigures::hardening() const {
  return shares_.empty() ? 0 : accuracy_soft_.mean() - accuracy_.mean();
}

Examination MaskFigures::examination(const std::string& sampler, std::int64_t count) const {
  Examination examination{.count = count};
  for (const Metric& metric :
       {accuracy_, accuracy_oracle_, kept_.junk_dropped, kept_.needed_kept, kept_.kept, read_}) {
    if (metric.count > 0) examination.shares.emplace_back(metric.name, metric.mean());
  }
  examination.shares.insert(examination.shares.end(),
                            {{"pattern_bits", pattern_.bits()}, {"us_per_step_full", us_full_}});
  std::vector<std::string> times = {"-", "-", us_text(us_full_), "-"};
  if (us_of_mask_) {
    const auto& [mask, hard] = *us_of_mask_;
    examination.shares.insert(
        examination.shares.end(),
        {{"us_per_mask", mask}, {"us_per_step_hard", hard}, {"time_share", hard / us_full_}});
    times = {percent(hard / us_full_), us_text(hard), us_text(us_full_), us_text(mask)};
  }
  examination.table = {
      {"sampler", "accuracy", "with oracle", "junk dropped", "needed kept", "kept", "read", "time",
       "us a step", "without mask", "its mask", "pattern"},
      {sampler, percent(accuracy_), percent(accuracy_oracle_), percent(kept_.junk_dropped),
       percent(kept_.needed_kept), percent(kept_.kept), percent(read_), times[0], times[1],
       times[2], times[3], fmt::format("{:.3f} bits", pattern_.bits())}};
  return examination;
}

}  // namespace maskgrad::apps
