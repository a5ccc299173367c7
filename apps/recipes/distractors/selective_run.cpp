#include "recipes/distractors/selective_run.hpp"

#include <algorithm>

#include <maskgrad/layers/frozen.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/train/data/distractors.hpp>

#include "recipes/distractors/kept_counts.hpp"
#include "recipes/distractors/token_drops.hpp"

namespace maskgrad::apps {
namespace {

using Phase = SelectivePhase;

// How far keys count: tokens that ask always, the others by a power of their share.
Variable keep_of(const Variable& share, const Tensor& asking, double sharpness) {
  const Variable one(Tensor::full({}, 1, share.dtype(), share.device()));
  return ops::where(asking, one, sharpness == 1 ? share : ops::pow(share, sharpness));
}

// In the flags of the recipe. A price of what is masked pulls the other way.
MaskRemedies remedies_for(Price price) {
  const std::string close = price == Price::kKept ? "raise" : "lower",
                    open = price == Price::kKept ? "lower" : "raise";
  return {
      .drops_all = fmt::format(
          "{} --cost, or let the model learn to do without tokens for longer (--calibrate)", open),
      .keeps_all = fmt::format("{} --cost, or let the mask learn for longer (--select)", close),
      .undecided = "let the mask learn for longer (--select, --steps), or raise --cost",
      .hardening =
          "train longer (--steps), or leave more steps to the hard mask, behind "
          "--warm-up, --calibrate and --select"};
}

Variable nothing_like(const Variable& sum) {
  return Variable(Tensor::zeros({}, sum.dtype(), sum.device()));
}

}  // namespace

struct SelectiveRun::Terms {
  LossTerm answer{"answer", {}, 0, 1.0}, steps{"working", {}, 0, 1.0},
      reading{"reading", {}, 0, 1.0}, cost{"cost", {}, 0, 1.0}, score{"score", {}, 0, 1.0};
  BatchMetric accuracy{"accuracy", 0.0, 0};
  KeptCounts kept;

  ModelOutput output() {
    PoolVector<LossTerm> all = {answer, steps, reading, cost, score};
    for (LossTerm& term : all) {
      if (!term.sum.defined()) term.sum = nothing_like(answer.sum);
    }
    return {std::move(all), {accuracy, kept.junk_dropped, kept.needed_kept, kept.kept}};
  }
};

SelectiveRun::SelectiveRun(const SelectiveOptions& options)
    : options_(options),
      phases_(options),
      sampling_(sampling_of(options.sampler)),
      predictor_(submodule("predictor", std::make_unique<Predictor>(options.predictor))),
      score_({.samples = Sampling::kSamples}),
      watch_(learned_mask_rules(remedies_for(options.price))) {
  if (!learns_mask(options_.sampler)) return;
  sampler_ = drawing_sampler(
      options_.sampler, {1, 0.5, phases_.begin_of(Phase::kSelect), phases_.begin_of(Phase::kTune)});
  const MaskNetworkOptions network = {.bound = 3.75, .middle = 1.25, .open = sampling_.open};
  selector_ =
      &submodule("selector", std::make_unique<Selector>(options.selector, options.scorer, network));
}

ModelOutput SelectiveRun::evaluate(const Batch& batch, Pass& pass) {
  Terms terms;
  if (!pass.is_training()) {
    predict(batch, mask_of(batch), pass, terms);
    return terms.output();
  }
  const Phase phase =
      has_selector() ? phases_.at(static_cast<std::int64_t>(pass.step())) : Phase::kTune;
  if (phase != Phase::kSelect) likelihood_.reset();
  const auto drops = [&] { return random_drops(batch, options_.most_drops, pass); };
  switch (phase) {
    case Phase::kWarmUp:
      learn(batch, existing(batch), pass, terms);
      break;
    case Phase::kCalibrate:
      learn(batch, drops(), pass, terms);
      break;
    case Phase::kSelect:
      select(batch, pass, terms);
      break;
    case Phase::kTune:
      learn(batch, has_selector() ? by_turns(mask_of(batch), drops()) : mask_of(batch), pass,
            terms);
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

SelectiveRun::SoftMask SelectiveRun::soft_mask_of(const Batch& batch) {
  const NoGrad no_grad;
  Pass pass;
  const SequenceMask exists = existing(batch);
  const Variable share = ops::sigmoid(logits(batch, pass));
  const Tensor asking = asking_tokens(batch.inputs),
               wide = share.value().to(DType::kFloat64).to(Device{});
  SoftMask soft;
  for (std::int64_t i = 0; i < wide.numel(); ++i) {
    if (!exists.bits().data<bool>()[i] || asking.data<bool>()[i]) continue;
    soft.shares.push_back(wide.data<double>()[i]);
  }
  soft.answer = soft_answer(batch, share, pass).answer;
  return soft;
}

Predictor::Answer SelectiveRun::soft_answer(const Batch& batch, const Variable& share, Pass& pass) {
  const Variable keep = keep_of(share, asking_tokens(batch.inputs), sampling_.sharpness);
  return predictor_(tokens_with(batch, existing(batch)), keep, pass);
}

ModelOutput SelectiveRun::evaluate_whole(const Batch& batch, Pass& pass) {
  Terms terms;
  predict(batch, mask_of(batch), pass, terms);
  if (has_selector()) {
    const Variable share = ops::sigmoid(logits(batch, pass));
    const Predictor::Answer made = soft_answer(batch, share, pass);
    const Variable soft = ops::cross_entropy(made.answer, batch.targets).sum;
    terms.answer.sum = ops::add(terms.answer.sum, soft);
  }
  return terms.output();
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

// The tables learn from what is true, whatever was read: chance would blur them.
void SelectiveRun::learn(const Batch& batch, const SequenceMask& mask, Pass& pass, Terms& terms) {
  predict(batch, mask, pass, terms);
  const DType dtype = terms.answer.sum.dtype();
  const Device device = terms.answer.sum.device();
  const Tensor reading = batch["reading"], steps = batch["steps"];
  const Variable of_steps = predictor_.steps_of(certain(reading, dtype, device), pass);
  const Variable of_answer = predictor_.answer_of(certain(steps, dtype, device), pass);
  terms.steps.sum = ops::cross_entropy(of_steps, steps).sum;
  terms.answer.sum = ops::cross_entropy(of_answer, batch.targets).sum;
}

void SelectiveRun::select(const Batch& given, Pass& pass, Terms& terms) {
  const Batch batch = sampling_.is_scored ? several_of_each(given, Sampling::kSamples) : given;
  const Frozen frozen(predictor_);
  const Variable logits = this->logits(batch, pass);
  if (!likelihood_) likelihood_.emplace(predictor_, logits.dtype(), logits.device());
  KeepSample sample = sampler_->sample(logits, pass);
  if (sampling_.fades) sample.keep = faded(sample.keep, logits, pass);
  add_answer(batch, sample, pass, terms);
  add_cost(batch, logits, terms);
  // Where the task suffers, masking more is no use: each token that is lost makes others worthless.
  const auto step = static_cast<std::int64_t>(pass.step());
  const double share = excess(given, pass) / phases_.tolerance_at(step);
  terms.cost.weight = sampling_.pays * phases_.cost_at(step) * std::clamp(1 - share, 0.0, 1.0);
  terms.kept = kept_counts(batch, with_asking(decide(logits), batch.inputs));
  watch_.observe("kept", terms.kept.kept.mean());
}

// The loss of the answers, or where decisions were drawn without a gradient, one that stands for
// it.
void SelectiveRun::add_answer(const Batch& batch, const KeepSample& sample, Pass& pass,
                              Terms& terms) {
  const Tensor asking = asking_tokens(batch.inputs);
  const Predictor::Answer made = soft_answer(batch, sample.keep, pass);
  const Variable losses = likelihood_->losses(made.reading, batch.targets);
  terms.answer.sum = ops::sum(losses);
  terms.answer.count = batch.inputs.dim(0);
  terms.accuracy = to_metric("accuracy", ops::sequence_accuracy(made.answer, batch.targets));
  if (!sample.log_probability.defined()) return;
  const Tensor others = (~SequenceMask(asking)).bits();
  const Variable surrogate =
      score_.surrogate(losses.value(), ops::keep_where(sample.log_probability, others));
  const Variable value(surrogate.value().clone());
  terms.score.sum = ops::subtract(surrogate, value);
  terms.score.count = batch.inputs.dim(0) / Sampling::kSamples;
}

void SelectiveRun::add_cost(const Batch& batch, const Variable& logits, Terms& terms) {
  const Tensor others = (~SequenceMask(asking_tokens(batch.inputs))).bits();
  const double free = options_.price == Price::kKept ? 0 : 1;
  const Variable kept = ops::keep_where(sampler_->kept(logits), others, free);
  terms.cost.sum = sparsity_cost(kept, options_.price).sum;
  terms.cost.count = batch.inputs.dim(0);
}

// By how many nats an answer's loss is above that with all tokens where the mask is hard, of the
// first half of a batch.
double SelectiveRun::excess(const Batch& given, Pass& pass) {
  const NoGrad no_grad;
  const Batch batch = given.part(0, (given.size() + 1) / 2);
  const auto loss = [&](const SequenceMask& mask) {
    const Variable reading = predictor_(tokens_with(batch, mask), {}, pass).reading;
    return ops::sum(likelihood_->losses(reading, batch.targets)).item();
  };
  return (loss(mask_of(batch)) - loss(existing(batch))) / static_cast<double>(batch.size());
}

void SelectiveRun::observe_end(double undecided, double hardening) {
  watch_.observe("undecided", undecided);
  watch_.observe("hardening", hardening);
}

}  // namespace maskgrad::apps
