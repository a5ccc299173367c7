// Experts for tasks that nobody names, and what chooses among them.
#pragma once

#include <string_view>
#include <vector>

#include <maskgrad/layers/learned_mask/ramp.hpp>
#include <maskgrad/layers/positions.hpp>
#include <maskgrad/layers/task_gate/expert_mixture.hpp>
#include <maskgrad/layers/transformer.hpp>
#include <maskgrad/train/model_output.hpp>

#include "recipes/tasks/problem_solver.hpp"

namespace maskgrad::apps {

/// What chooses the expert: a gate over the mean of what attention found, learned queries that
/// attend, or nothing, where one network does all.
enum class TaskChoice : std::uint8_t { kGate, kQuery, kShared };
/// "gate", "query" or "shared". Throws Error for any other text.
TaskChoice task_choice_from_string(std::string_view name);

/// Of what reads the input before a choice.
struct ReaderSizes {
  std::int64_t features = 32, layers = 0, heads = 4;
};

struct TaskOptions {
  TaskChoice choice = TaskChoice::kGate;
  bool experts_see_all = false;  // also what tells the task
  SolverSizes solver = {};       // of each expert
  /// An encoder; with 0 layers there is none, and only the choice itself attends.
  ReaderSizes gate = {};
  double balance = 0.05, evenness = 3;  // what a nat is worth, see TaskNetwork
  double drops = 0.5;                   // the share of tokens that the choice does without at first
  std::int64_t steps = 0;
  double warm_up = 0.15, alone = 0.5;  // shares of the steps: the first, and the last
};

/// The phases of a run, one behind the other:
///   warm-up:  each expert learns all problems, as far as it can tell them apart, and nothing is
///             chosen;
///   share:    the choice and the experts learn together. The loss is mixture_loss() with a power
///             that rises from 0.1 to 1. It is worth much that the experts are used alike
///             (mean_entropy()), and in the end a little that the choice is decided
///             (mutual_information()). The choice does without some tokens, which are masked: half
///             of them at first, and none in the end. Its temperature falls from 2 to 0.5;
///   alone:    the chosen expert alone answers, and learns. The choice stands still.
/// Each phase is there for a reason. After the warm-up, experts know what can be known without the
/// task, so only the task is left to split by. With a small power the choice divides up the
/// samples. With a large one the experts would do it, by what they answer best, and that need not
/// be the task: one could compute a + |b|, and one a - |b|. The operator and the sign of b together
/// tell which of these two it is. A choice that often lacks a token learns to go by one alone.
class TaskNetwork : public Module {
 public:
  enum class Phase : std::uint8_t { kWarmUp, kShare, kAlone };

  explicit TaskNetwork(const TaskOptions& options);

  /// `choice`, if given, gets the choice of the batch, where one was made.
  ModelOutput evaluate(const Batch& batch, Pass& pass, Choice* choice = nullptr);
  /// The loss of all experts and of the choice among them, with the weights that training ends with
  /// before the chosen expert learns alone.
  ModelOutput evaluate_whole(const Batch& batch, Pass& pass);
  /// Which expert each sample is given to. Throws Error for a network that chooses nothing.
  Choice choose(const Batch& batch, Pass& pass, double temperature = 1);
  /// Logits [B, 3, V] of the best expert, or of the one network.
  Variable answer(const Batch& batch, Pass& pass);
  bool chooses() const { return mixture_ != nullptr; }
  /// The step from which the choice is what it stays; 0 where nothing is chosen.
  std::int64_t chosen_from() const { return chooses() ? begin_of(Phase::kAlone) : 0; }
  /// The tokens that are read for the experts.
  SequenceMask read_by_experts(const Batch& batch) const;
  /// The tokens that a choice reads.
  SequenceMask read_by_choice(const Batch& batch, Pass& pass) const;

  Phase phase_at(std::int64_t step) const;
  double temperature_at(std::int64_t step) const;
  double drops_at(std::int64_t step) const;
  double power_at(std::int64_t step) const;
  double balance_at(std::int64_t step) const;

 private:
  Choice choose_still(const Batch& batch, Pass& pass);
  Variable tokens_for_experts(const Batch& batch) const;
  std::vector<Variable> all_answers(const Batch& batch, Pass& pass);
  ModelOutput compete(const Batch& batch, Pass& pass, Phase phase, Choice* made);
  ModelOutput alone(const Batch& batch, Pass& pass, Choice* made);
  std::int64_t begin_of(Phase phase) const;
  // The step behind this share of the phase in which the experts share the samples.
  std::int64_t within_share(double share) const;

  TaskOptions options_;
  ProblemSolver* shared_ = nullptr;
  Embed* embed_ = nullptr;
  // Large from the beginning: a sign is an operator by its place alone.
  SinusoidalPositions* positions_ = nullptr;
  Layer* reader_ = nullptr;
  ExpertMixture* mixture_ = nullptr;
};

}  // namespace maskgrad::apps
