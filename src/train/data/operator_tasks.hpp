// One of three tasks on the same operands: which of them is told by an operator, or by examples.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include <maskgrad/train/data/arithmetic_problem.hpp>
#include <maskgrad/train/data/dataset.hpp>

namespace maskgrad {

/// What of an input says which task it is: the operator between the operands, or worked examples
/// before a problem whose operator is not shown.
enum class TaskFrom : std::uint8_t { kOperator, kExamples };
/// "operator", "examples".
std::string_view to_string(TaskFrom from);
/// The inverse. Throws Error for any other text.
TaskFrom task_from_string(std::string_view name);

struct OperatorTaskData {
  std::int64_t samples = 20'000;  // of an epoch
  std::int64_t most_lead = 3;     // separators before a problem
  std::uint64_t seed = 0;
  TaskFrom from = TaskFrom::kOperator;
  /// True: only problems of which is_held_out_in_order() says so. False: only the others.
  bool held_out = false;
};

/// "-3*+4", and what it comes to, see result_of().
struct TaskProblem {
  std::int64_t left = 0, right = 0;
  char operation = '+';

  std::int64_t result() const;
};

/// "-3*+4", or "-3,+4" without the operator.
std::string task_prompt(const TaskProblem& problem, bool hides_operator = false);

/// Two problems with one operator, and their answers.
using WorkedExamples = std::array<TaskProblem, 2>;

/// Whether of all operators only that of the examples gives both answers. Throws Error as
/// result_of().
bool tell_the_operator(const WorkedExamples& examples);

/// "-3,+4=+01|": a problem without its operator, and the answer. Throws Error for an answer of more
/// than two digits, and as result_of().
std::string worked_example(const TaskProblem& problem);

/// Sample i of epoch e is problem e * samples + i of the seed, made when it is asked for. Its
/// tokens are `|` 0 to most_lead times, so that places vary, then
///   kOperator:  task_prompt(), "-3*+4";
///   kExamples:  two worked_example(), and task_prompt() without the operator;
/// then `|`, and answer_in_two_digits() but for its last token: a causal model writes the answer
/// behind the `|`. The operands are -9 to 9 without 0. Where is_held_out_in_order() says so of a
/// problem, it also does of its examples, and else of none. Examples tell_the_operator(). A batch
/// has
///   inputs   int64 [B, length()], with kPadToken in front, so that all end alike;
///   targets  int64 [B, 3]: the answer, for the last three tokens;
///   "task"   int64 [B]: the operator's place in kOperators;
///   "tells"  int64 [B, length()]: 1 for the tokens that tell the task, the operator or the
///   examples.
class OperatorTasks : public Dataset {
 public:
  static constexpr std::int64_t kAnswer = 3, kTasks = 3;
  /// The tokens of the answer at the end of the inputs.
  static constexpr std::int64_t kWritten = kAnswer - 1;

  /// Throws Error for samples below 0 or above 2^40, and for a lead below 0 or above 1000.
  explicit OperatorTasks(const OperatorTaskData& data);

  std::int64_t size() const override { return data_.samples; }
  Batch collate(std::span<const std::int64_t> ids) const override { return collate_in(0, ids); }
  Batch collate_in(std::int64_t epoch, std::span<const std::int64_t> ids) const override;
  /// The numbers that the samples are made from.
  std::string fingerprint() const override;

  struct Sample {
    TaskProblem problem;
    std::int64_t lead = 0;                   // how often `|` stands before it
    std::vector<TaskProblem> examples = {};  // two, or none: the operator is shown
  };
  /// Throws Error for a sample or an epoch that is not there.
  Sample sample(std::int64_t id, std::int64_t epoch = 0) const;
  /// The tokens of a sample, with padding.
  std::int64_t length() const;

 private:
  OperatorTaskData data_;
};

/// A batch of these samples, as OperatorTasks has them, each of so many tokens. Throws Error for a
/// sample that has more, for operands that are not -9 to 9 or are 0, for another operator than + -
/// *, for a lead below 0 or above 1000, and for examples that are not two, or of another operator
/// than their problem.
Batch collate_operator_tasks(std::span<const OperatorTasks::Sample> samples, std::int64_t length);

}  // namespace maskgrad
