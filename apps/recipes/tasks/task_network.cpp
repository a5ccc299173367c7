#include "recipes/tasks/task_network.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include <maskgrad/layers/task_gate/mixture_loss.hpp>
#include <maskgrad/layers/task_gate/task_gate.hpp>
#include <maskgrad/layers/task_gate/task_query.hpp>
#include <maskgrad/layers/uniform_by_place.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/reduce.hpp>
#include <maskgrad/ops/nn/loss.hpp>
#include <maskgrad/ops/shape/concat.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/data/operator_tasks.hpp>

#include "recipes/existing.hpp"

namespace maskgrad::apps {
namespace {

constexpr const char* kName = "tasks";
constexpr auto kClasses = static_cast<std::int64_t>(kArithmeticVocabulary.size());
constexpr auto kTasks = static_cast<std::size_t>(OperatorTasks::kTasks);

std::int64_t values_in(Module& module) {
  std::int64_t count = 0;
  for (const NamedParameter& p : module.parameters()) count += p.parameter->shape().numel();
  return count;
}

// One network with at least as many values as the choice and the experts have together.
TaskOptions of_one_network(const TaskOptions& options) {
  TaskOptions several = options, one = options;
  several.choice = TaskChoice::kGate;
  TaskNetwork all(several);
  const std::int64_t least = values_in(all);
  for (;; ++one.solver.hidden) {
    ProblemSolver solver(one.solver);
    if (values_in(solver) >= least) return one;
  }
}

Experts experts_of(const TaskOptions& options) {
  Experts experts;
  for (std::size_t c = 0; c < kTasks; ++c) {
    experts.push_back(std::make_unique<ProblemSolver>(options.solver));
  }
  return experts;
}

std::unique_ptr<Encoder> encoder_of(const ReaderSizes& sizes) {
  return std::make_unique<Encoder>(
      TransformerOptions{.features = sizes.features, .heads = sizes.heads, .layers = sizes.layers});
}

// What is known of the positions before the choice, which itself attends.
std::unique_ptr<Layer> reader_of(const ReaderSizes& sizes) {
  if (sizes.layers > 0) return encoder_of(sizes);
  return std::make_unique<MultiHeadAttention>(sizes.features, sizes.heads);
}

// Of the samples whose best expert has every token right.
Metric accuracy_of(std::span<const Variable> answers, const Choice& choice, const Batch& batch) {
  std::vector<Tensor> said;
  for (const Variable& logits : answers) said.push_back(ops::argmax(logits.value(), 2));
  const std::int64_t tokens = OperatorTasks::kAnswer;
  Metric accuracy{"accuracy"};
  for (std::int64_t b = 0; b < batch.inputs.dim(0); ++b) {
    const std::int64_t best = choice.best.data<std::int64_t>()[b];
    const std::int64_t* const answer =
        std::as_const(said[static_cast<std::size_t>(best)]).data<std::int64_t>() + b * tokens;
    accuracy.sum +=
        std::equal(answer, answer + tokens, batch.targets.data<std::int64_t>() + b * tokens);
    ++accuracy.count;
  }
  return accuracy;
}

// All positions but those of the answer, which a choice must not see.
SequenceMask problem_in(const Batch& batch) {
  const std::int64_t length = batch.inputs.dim(1);
  const std::vector<std::int64_t> lengths(static_cast<std::size_t>(batch.inputs.dim(0)),
                                          length - OperatorTasks::kWritten);
  return SequenceMask::from_lengths(lengths, length);
}

}  // namespace

TaskChoice task_choice_from_string(std::string_view name) {
  if (name == "gate") return TaskChoice::kGate;
  if (name == "query") return TaskChoice::kQuery;
  check(name == "shared", kName, "there is no choice '{}'", name);
  return TaskChoice::kShared;
}

TaskNetwork::TaskNetwork(const TaskOptions& options) : options_(options) {
  if (options.choice == TaskChoice::kShared) {
    options_ = of_one_network(options);
    shared_ = &submodule("shared", std::make_unique<ProblemSolver>(options_.solver));
    return;
  }
  const ReaderSizes& gate = options.gate;
  embed_ = &submodule("embed", std::make_unique<Embed>(kClasses, gate.features));
  positions_ = &submodule("positions", std::make_unique<SinusoidalPositions>());
  if (options.choice == TaskChoice::kGate) {
    mixture_ = &submodule("mixture", std::make_unique<TaskGate>(gate.features, experts_of(options),
                                                                Mixing::kBest, reader_of(gate)));
    return;
  }
  if (gate.layers > 0) reader_ = &submodule("reader", encoder_of(gate));
  mixture_ = &submodule("mixture", std::make_unique<TaskQuery>(gate.features, gate.heads,
                                                               experts_of(options), Mixing::kBest));
}

std::int64_t TaskNetwork::begin_of(Phase phase) const {
  const double share = phase == Phase::kWarmUp  ? 0
                       : phase == Phase::kShare ? options_.warm_up
                                                : 1 - options_.alone;
  return std::llround(share * static_cast<double>(options_.steps));
}

std::int64_t TaskNetwork::within_share(double share) const {
  const auto begin = static_cast<double>(begin_of(Phase::kShare)),
             end = static_cast<double>(begin_of(Phase::kAlone));
  return std::llround(begin + share * (end - begin));
}

TaskNetwork::Phase TaskNetwork::phase_at(std::int64_t step) const {
  if (step >= begin_of(Phase::kAlone)) return Phase::kAlone;
  return step >= begin_of(Phase::kShare) ? Phase::kShare : Phase::kWarmUp;
}

double TaskNetwork::temperature_at(std::int64_t step) const {
  const Ramp falls = {2, 0.5, begin_of(Phase::kShare), begin_of(Phase::kAlone)};
  return falls.at(step);
}

double TaskNetwork::balance_at(std::int64_t step) const {
  const Ramp rises = {0, options_.balance, within_share(0.6), begin_of(Phase::kAlone)};
  return rises.at(step);
}

double TaskNetwork::power_at(std::int64_t step) const {
  const Ramp rises = {0.1, 1, within_share(0.25), within_share(0.9)};
  return rises.at(step);
}

double TaskNetwork::drops_at(std::int64_t step) const {
  const Ramp falls = {options_.drops, 0, begin_of(Phase::kShare), begin_of(Phase::kAlone)};
  return falls.at(step);
}

// The problem; in training without some tokens, but never without the one that asks.
SequenceMask TaskNetwork::read_by_choice(const Batch& batch, Pass& pass) const {
  const SequenceMask problem = existing(batch) & problem_in(batch);
  const double drops = pass.is_training() ? drops_at(static_cast<std::int64_t>(pass.step())) : 0.0;
  if (drops == 0) return problem;
  const Variable tokens(batch.inputs, Variable::kConstant, existing(batch));
  const Tensor drop = uniform_by_place(tokens, pass, "drops");
  Tensor bits = problem.bits().clone();
  const std::int64_t length = bits.dim(1), asks = length - OperatorTasks::kAnswer;
  for (std::int64_t i = 0; i < bits.numel(); ++i) {
    if (i % length != asks && drop.data<double>()[i] < drops) bits.data<bool>()[i] = false;
  }
  return SequenceMask(bits);
}

SequenceMask TaskNetwork::read_by_experts(const Batch& batch) const {
  if (options_.experts_see_all || !chooses()) return existing(batch);
  return existing(batch) & SequenceMask::from_tokens(batch["tells"], 1);
}

Variable TaskNetwork::tokens_for_experts(const Batch& batch) const {
  return Variable(batch.inputs, Variable::kConstant, read_by_experts(batch));
}

Choice TaskNetwork::choose(const Batch& batch, Pass& pass, double temperature) {
  check(chooses(), kName, "one network does all: there is nothing to choose");
  // The places of tokens are counted before any is left out.
  const Variable tokens(batch.inputs, Variable::kConstant, existing(batch) & problem_in(batch));
  const Variable x =
      ops::with_mask((*positions_)((*embed_)(tokens, pass), pass), read_by_choice(batch, pass));
  return mixture_->choose(reader_ ? (*reader_)(x, pass) : x, pass, temperature);
}

// A choice that learns nothing.
Choice TaskNetwork::choose_still(const Batch& batch, Pass& pass) {
  const NoGrad no_grad;
  return choose(batch, pass);
}

Variable TaskNetwork::answer(const Batch& batch, Pass& pass) {
  const Variable tokens = tokens_for_experts(batch);
  if (!chooses()) return (*shared_)(tokens, pass);
  return mixture_->mix(choose(batch, pass), tokens, pass);
}

// What each expert says to all samples: logits [B, 3, V].
std::vector<Variable> TaskNetwork::all_answers(const Batch& batch, Pass& pass) {
  const Variable tokens = tokens_for_experts(batch);
  std::vector<Variable> answers;
  for (std::size_t c = 0; c < mixture_->size(); ++c) {
    answers.push_back(mixture_->expert(c)(tokens, pass));
  }
  return answers;
}

ModelOutput TaskNetwork::evaluate(const Batch& batch, Pass& pass, Choice* choice) {
  if (!chooses()) {
    const Variable answer = this->answer(batch, pass);
    return {{ops::cross_entropy(answer, batch.targets).sum, batch.inputs.dim(0)},
            {to_metric("accuracy", ops::sequence_accuracy(answer, batch.targets))}};
  }
  if (!pass.is_training()) return alone(batch, pass, choice);
  const Phase phase = phase_at(static_cast<std::int64_t>(pass.step()));
  return phase == Phase::kAlone ? alone(batch, pass, choice) : compete(batch, pass, phase, choice);
}

ModelOutput TaskNetwork::evaluate_whole(const Batch& batch, Pass& pass) {
  if (!chooses()) return evaluate(batch, pass);
  return compete(batch, pass, Phase::kShare, nullptr);
}

// The best expert of each sample alone computes. That is what inference does, and nothing here
// draws random numbers.
ModelOutput TaskNetwork::alone(const Batch& batch, Pass& pass, Choice* made) {
  const Choice choice = choose_still(batch, pass);
  if (made) *made = choice;
  Pass inference;
  const Variable answer = mixture_->mix(choice, tokens_for_experts(batch), inference);
  const std::int64_t rows = batch.inputs.dim(0);
  const Variable none(Tensor::zeros({}, answer.dtype(), answer.device()));
  return {{{"answer", ops::cross_entropy(answer, batch.targets).sum, rows},
           {"balance", none, rows},
           {"evenness", none, rows}},
          {to_metric("accuracy", ops::sequence_accuracy(answer, batch.targets))}};
}

ModelOutput TaskNetwork::compete(const Batch& batch, Pass& pass, Phase phase, Choice* made) {
  const std::int64_t step =
      pass.is_training() ? static_cast<std::int64_t>(pass.step()) : begin_of(Phase::kAlone);
  const Choice choice = phase == Phase::kWarmUp ? choose_still(batch, pass)
                                                : choose(batch, pass, temperature_at(step));
  if (made && phase == Phase::kShare) *made = choice;
  const std::vector<Variable> answers = all_answers(batch, pass);
  std::vector<Variable> each;
  for (const Variable& logits : answers) each.push_back(log_likelihood(logits, batch.targets));
  const Variable likelihoods = ops::concat(each, 1);
  const std::int64_t rows = batch.inputs.dim(0);
  const Variable loss = phase == Phase::kWarmUp
                            ? ops::negate(ops::mean(likelihoods, {1}))
                            : mixture_loss(choice.shares, likelihoods, power_at(step));
  const auto gain = [&](const Variable& nats) {
    return ops::scale(nats, -static_cast<double>(rows));
  };
  return {{{"answer", ops::sum(loss), rows},
           {"balance", gain(mutual_information(choice)), rows, balance_at(step)},
           {"evenness", gain(mean_entropy(choice)), rows, options_.evenness}},
          {accuracy_of(answers, choice, batch)}};
}

}  // namespace maskgrad::apps
