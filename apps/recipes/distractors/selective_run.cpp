#include "recipes/distractors/selective_run.hpp"

#include <algorithm>
#include <cmath>

#include <maskgrad/layers/frozen.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/data/distractors.hpp>

#include "recipes/distractors/kept_counts.hpp"

namespace maskgrad::apps {
namespace {

constexpr std::int64_t kSamples = 4;  // of a sequence, for the score function

SequenceMask existing(const Batch& batch) {
  return SequenceMask::from_tokens(batch.inputs, kPadToken);
}

Variable tokens_with(const Batch& batch, const SequenceMask& mask) {
  return Variable(batch.inputs, Variable::kConstant, mask);
}

// The power of a keep value between 0 and 1 that keys count with. Attention goes by what keys weigh
// beside each other: where all that is needed is kept by a tenth, it is read as well as if it were
// kept. A power puts what is lost where the threshold is.
double sharpness_of(std::string_view sampler) {
  return sampler == "soft" ? 16 : sampler == "gumbel" || sampler == "hard-concrete" ? 4 : 1;
}

Variable nothing(DType dtype) { return Variable(Tensor::zeros({}, dtype)); }

Tensor repeated(const Tensor& x, std::int64_t times) {
  Tensor rows = Tensor::empty(x.shape().with_dim(0, x.dim(0) * times), x.dtype());
  const std::int64_t each = x.dim(0) ? x.numel() / x.dim(0) : 0;
  for (std::int64_t r = 0; r < rows.dim(0); ++r) {
    std::copy_n(x.data<std::int64_t>() + r / times * each, each,
                rows.data<std::int64_t>() + r * each);
  }
  return rows;
}

// The first quarter of a batch, each row four times.
Batch several_of_each(const Batch& batch) {
  const std::int64_t count = std::max<std::int64_t>(1, batch.size() / kSamples);
  Batch part = batch.part(0, count), rows;
  rows.inputs = repeated(part.inputs, kSamples);
  rows.targets = repeated(part.targets, kSamples);
  for (const BatchTensor& other : part.others) {
    rows.others.push_back({other.name, repeated(other.tensor, kSamples)});
  }
  return rows;
}

}  // namespace

struct SelectiveRun::Terms {
  LossTerm answer{"answer", {}, 0, 1.0}, steps{"working", {}, 0, 1.0}, reading{"reading", {}, 0, 1.0},
      cost{"cost", {}, 0, 1.0}, score{"score", {}, 0, 1.0};
  Metric accuracy{"accuracy"};
  KeptCounts kept;

  ModelOutput output() {
    const DType dtype = answer.sum.dtype();
    PoolVector<LossTerm> all = {answer, steps, reading, cost, score};
    for (LossTerm& term : all) {
      if (!term.sum.defined()) term.sum = nothing(dtype);
    }
    return {std::move(all), {accuracy, kept.junk_dropped, kept.needed_kept, kept.kept}};
  }
};

SelectiveRun::SelectiveRun(const SelectiveOptions& options)
    : options_(options),
      predictor_(submodule("predictor", std::make_unique<Predictor>(options.predictor))),
      score_({.samples = kSamples}) {
  if (options_.sampler == "none" || options_.sampler == "oracle") return;
  const Ramp temperature = {1, 0.5, begin_of(Phase::kSelect), begin_of(Phase::kTune)};
  sampler_ = make_sampler(options_.sampler, temperature);
  selector_ =
      &submodule("selector", std::make_unique<Selector>(options.selector, options.scorer,
                                                        MaskNetworkOptions{.bound = 8, .open = 3}));
}

std::int64_t SelectiveRun::begin_of(Phase phase) const {
  const double shares[] = {0, options_.warm_up, options_.calibrate, options_.select};
  double share = 0;
  for (std::size_t i = 0; i <= static_cast<std::size_t>(phase); ++i) share += shares[i];
  return std::llround(std::min(share, 1.0) * static_cast<double>(options_.steps));
}

SelectiveRun::Phase SelectiveRun::phase_at(std::int64_t step) const {
  for (const Phase phase : {Phase::kTune, Phase::kSelect, Phase::kCalibrate}) {
    if (step >= begin_of(phase)) return phase;
  }
  return Phase::kWarmUp;
}

std::int64_t SelectiveRun::within_select(double share) const {
  const auto begin = static_cast<double>(begin_of(Phase::kSelect)),
             end = static_cast<double>(begin_of(Phase::kTune));
  return std::llround(begin + share * (end - begin));
}

double SelectiveRun::cost_at(std::int64_t step) const {
  const Ramp rises = {options_.cost / 3, options_.cost, within_select(0), within_select(0.2)};
  return rises.at(step);
}

double SelectiveRun::tolerance_at(std::int64_t step) const {
  const Ramp falls = {options_.tolerance, options_.last_tolerance, within_select(0.4),
                      within_select(0.9), Ramp::Kind::kGeometric};
  return falls.at(step);
}

ModelOutput SelectiveRun::evaluate(const Batch& batch, Pass& pass) {
  Terms terms;
  if (!pass.is_training() || !has_selector()) {
    predict(batch, mask_of(batch), pass, terms);
    return terms.output();
  }
  switch (phase_at(static_cast<std::int64_t>(pass.step()))) {
    case Phase::kWarmUp:
      predict(batch, existing(batch), pass, terms);
      break;
    case Phase::kCalibrate:
      predict(batch, random_drops(batch, pass), pass, terms);
      // What is computed of what was read is known already, and chance would blur it.
      terms.answer.weight = terms.steps.weight = 0;
      break;
    case Phase::kSelect:
      select(batch, pass, terms);
      break;
    case Phase::kTune:
      predict(batch, mask_of(batch), pass, terms);
      break;
  }
  return terms.output();
}

SequenceMask SelectiveRun::mask_of(const Batch& batch) {
  if (options_.sampler == "oracle") return oracle_mask(batch);
  if (!has_selector()) return existing(batch);
  const NoGrad no_grad;
  Pass pass;
  return with_asking(decide(logits(batch, pass)), batch.inputs);
}

Variable SelectiveRun::logits(const Batch& batch, Pass& pass) {
  return (*selector_)(tokens_with(batch, existing(batch)), pass);
}

Variable SelectiveRun::answer(const Batch& batch, const SequenceMask& mask, Pass& pass) {
  return predictor_(tokens_with(batch, mask), {}, pass).answer;
}

void SelectiveRun::predict(const Batch& batch, const SequenceMask& mask, Pass& pass, Terms& terms) {
  const Predictor::Answer made = predictor_(tokens_with(batch, mask), {}, pass);
  const auto set = [&](LossTerm& term, const Variable& logits, const Tensor& targets) {
    term.sum = ops::cross_entropy(logits, targets).sum;
    term.count = batch.inputs.dim(0);
  };
  set(terms.answer, made.answer, batch.targets);
  set(terms.steps, made.steps, batch["steps"]);
  set(terms.reading, made.reading, batch["reading"]);
  terms.accuracy = to_metric("accuracy", ops::sequence_accuracy(made.answer, batch.targets));
  terms.kept = kept_counts(batch, mask);
}

void SelectiveRun::select(const Batch& given, Pass& pass, Terms& terms) {
  const bool draws = options_.sampler == "reinforce";
  const Batch batch = draws ? several_of_each(given) : given;
  const auto step = static_cast<std::int64_t>(pass.step());
  const Variable logits = this->logits(batch, pass);
  const KeepSample sample = sampler_->sample(logits, pass);
  const Tensor asking = asking_tokens(batch.inputs), others = (~SequenceMask(asking)).bits();
  const Variable one(Tensor::full({}, 1, logits.dtype()));
  const double sharpness = sharpness_of(sampler_->name());
  const Variable keep =
      ops::where(asking, one, sharpness == 1 ? sample.keep : ops::pow(sample.keep, sharpness));
  const Frozen frozen(predictor_);
  const auto predicted = [&] {
    return predictor_(tokens_with(batch, existing(batch)), keep, pass).answer;
  };
  const Variable answer = draws ? [&] { const NoGrad no_grad; return predicted(); }() : predicted();
  const auto rows = batch.inputs.dim(0);
  terms.answer.sum = ops::cross_entropy(answer, batch.targets).sum;
  terms.answer.count = rows;
  if (draws) {
    const Variable surrogate = score_.surrogate(losses_of_rows(answer.value(), batch.targets),
                                                ops::keep_where(sample.log_probability, others));
    const Variable value(Tensor::full({}, surrogate.item(), surrogate.dtype()));
    terms.score.sum = ops::subtract(surrogate, value);
    terms.score.count = rows / kSamples;
  }
  const double free = options_.price == Price::kKept ? 0 : 1;
  const Variable kept = ops::keep_where(sampler_->kept(logits), others, free);
  terms.cost.sum = sparsity_cost(kept, options_.price).sum;
  terms.cost.count = rows;
  // Where the task suffers, masking more is no use: each token that is lost makes others worthless.
  const double excess = terms.answer.sum.item() - full_loss(batch, pass);
  const double share = excess / static_cast<double>(rows) / tolerance_at(step);
  terms.cost.weight = cost_at(step) * std::clamp(1 - share, 0.0, 1.0);
  terms.accuracy = to_metric("accuracy", ops::sequence_accuracy(answer, batch.targets));
  terms.kept = kept_counts(batch, with_asking(decide(logits), batch.inputs));
}

// The loss of the answers where no token is left out.
double SelectiveRun::full_loss(const Batch& batch, Pass& pass) {
  const NoGrad no_grad;
  return ops::cross_entropy(answer(batch, existing(batch), pass), batch.targets).sum.item();
}

// Half of the sequences lose a share of their own, and each token is lost by itself.
SequenceMask SelectiveRun::random_drops(const Batch& batch, Pass& pass) const {
  const SequenceMask exists = existing(batch);
  const Variable tokens = tokens_with(batch, exists);
  const Random shares = pass.random("shares"), drops = pass.random("drops");
  const Tensor places = pass.places(tokens);
  Tensor bits = exists.bits().clone();
  const std::int64_t length = bits.dim(1);
  for (std::int64_t i = 0; i < bits.numel(); ++i) {
    Random share = shares, drop = drops;
    share.skip_uniforms(static_cast<std::uint64_t>(i / length));
    drop.skip_uniforms(static_cast<std::uint64_t>(places.data<std::int64_t>()[i]));
    const double lost = options_.most_drops * (2 * share.uniform() - 1);
    if (drop.uniform() < lost) bits.data<bool>()[i] = false;
  }
  return with_asking(SequenceMask(bits), batch.inputs);
}

}  // namespace maskgrad::apps
