#include <algorithm>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/tensor/random.hpp>
#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/data/distractors.hpp>
#include <maskgrad/train/data/operands.hpp>
#include <maskgrad/train/data/operator_tasks.hpp>

namespace maskgrad {
namespace {

constexpr const char* kName = "tasks";
static_assert(kPadToken == 0, "rows are filled up with zeros");
constexpr std::int64_t kPrompt = 6;    // "-3*+4|"
constexpr std::int64_t kExample = 10;  // "-3,+4=+01|"

using Row = std::vector<std::int64_t>;

void check_problem(const TaskProblem& p) { check_operands(kName, p.left, p.right, p.operation); }

// Which token stands where hangs on all of this.
void check_sample(const OperatorTasks::Sample& sample) {
  check_problem(sample.problem);
  check_lead(kName, sample.lead);
  check(sample.examples.empty() || sample.examples.size() == 2, kName,
        "a sample has two examples or none, not {}", sample.examples.size());
  for (const TaskProblem& example : sample.examples) {
    check_problem(example);
    check(example.operation == sample.problem.operation, kName,
          "an example of {} does not tell that {} is meant", example.operation,
          sample.problem.operation);
  }
}

TaskProblem draw_of(Random& random, char operation, bool held_out) {
  TaskProblem p{.operation = operation};
  do {
    p.left = draw_operand(random);
    p.right = draw_operand(random);
  } while (is_held_out_in_order(p.left, p.right) != held_out);
  return p;
}

// The rows with zeros in front.
Tensor aligned(const std::vector<Row>& rows, std::int64_t length) {
  Tensor all = Tensor::zeros({std::ssize(rows), length}, DType::kInt64);
  std::int64_t* end = all.data<std::int64_t>();
  for (const Row& row : rows) {
    check(std::ssize(row) <= length, kName, "a sample of {} tokens does not fit {}", row.size(),
          length);
    end += length;
    std::copy_backward(row.begin(), row.end(), end);
  }
  return all;
}

// The tokens of a sample, and which of them tell the task.
struct Rows {
  Row tokens, tells, answer;
};

Rows rows_of(const OperatorTasks::Sample& sample) {
  check_sample(sample);
  Rows rows;
  append_tokens(rows.tokens, std::string(static_cast<std::size_t>(sample.lead), '|'));
  rows.tells.assign(rows.tokens.size(), 0);
  for (const TaskProblem& example : sample.examples)
    append_tokens(rows.tokens, worked_example(example));
  rows.tells.resize(rows.tokens.size(), 1);
  append_tokens(rows.tokens, task_prompt(sample.problem, !sample.examples.empty()));
  rows.tells.resize(rows.tokens.size(), 0);
  if (sample.examples.empty()) rows.tells[rows.tells.size() - 3] = 1;
  append_tokens(rows.tokens, "|");
  rows.answer = arithmetic_tokens(answer_in_two_digits(sample.problem.result()));
  rows.tokens.insert(rows.tokens.end(), rows.answer.begin(), rows.answer.end() - 1);
  rows.tells.resize(rows.tokens.size(), 0);
  return rows;
}

}  // namespace

std::string_view to_string(TaskFrom from) {
  return from == TaskFrom::kOperator ? "operator" : "examples";
}

TaskFrom task_from_string(std::string_view name) {
  for (const TaskFrom from : {TaskFrom::kOperator, TaskFrom::kExamples}) {
    if (to_string(from) == name) return from;
  }
  fail(kName, "a task is told by operator or examples, not by '{}'", name);
}

bool tell_the_operator(const WorkedExamples& examples) {
  const auto fits = [&](char operation) {
    return std::ranges::all_of(examples, [&](TaskProblem p) {
      const std::int64_t answer = p.result();
      p.operation = operation;
      return p.result() == answer;
    });
  };
  return std::ranges::count_if(kOperators, fits) == 1;
}

std::int64_t TaskProblem::result() const { return result_of(left, operation, right); }

std::string task_prompt(const TaskProblem& p, bool hides_operator) {
  return fmt::format("{:+}{}{:+}", p.left, hides_operator ? ',' : p.operation, p.right);
}

std::string worked_example(const TaskProblem& p) {
  return fmt::format("{}={}|", task_prompt(p, true), answer_in_two_digits(p.result()));
}

OperatorTasks::OperatorTasks(const OperatorTaskData& data) : data_(data) {
  constexpr std::int64_t kMost = std::int64_t{1} << 40;
  check(data.samples >= 0 && data.samples <= kMost, kName, "samples must be from 0 to 2^40, not {}",
        data.samples);
  check_lead(kName, data.most_lead);
}

std::string OperatorTasks::fingerprint() const {
  return fmt::format("{} problems an epoch, told by {}, with up to {} before, of seed {}, {}",
                     data_.samples, to_string(data_.from), data_.most_lead, data_.seed,
                     data_.held_out ? "held out" : "not held out");
}

std::int64_t OperatorTasks::length() const {
  return kWritten + data_.most_lead + kPrompt +
         (data_.from == TaskFrom::kExamples ? 2 * kExample : 0);
}

OperatorTasks::Sample OperatorTasks::sample(std::int64_t id, std::int64_t epoch) const {
  check(id >= 0 && id < size(), kName, "there is no sample {}: there are {}", id, size());
  check(epoch >= 0 && epoch < (std::int64_t{1} << 22), kName, "there is no epoch {}", epoch);
  Random random(data_.seed, stream_of("operator tasks"),
                static_cast<std::uint64_t>(epoch * size() + id));
  const char operation = kOperators[random.below(3u)];
  Sample drawn;
  drawn.problem = draw_of(random, operation, data_.held_out);
  drawn.lead = random.integer(0, data_.most_lead);
  if (data_.from == TaskFrom::kOperator) return drawn;
  WorkedExamples examples;
  do {
    for (TaskProblem& p : examples) p = draw_of(random, operation, data_.held_out);
  } while (!tell_the_operator(examples));
  drawn.examples.assign(examples.begin(), examples.end());
  return drawn;
}

Batch OperatorTasks::collate_in(std::int64_t epoch, std::span<const std::int64_t> ids) const {
  std::vector<Sample> samples;
  for (const std::int64_t id : ids) samples.push_back(sample(id, epoch));
  Batch batch = collate_operator_tasks(samples, length());
  batch.ids = Tensor::from(ids, {std::ssize(ids)});
  batch.epoch = epoch;
  return batch;
}

Batch collate_operator_tasks(std::span<const OperatorTasks::Sample> samples, std::int64_t length) {
  std::vector<Row> inputs, tells;
  Row targets, tasks;
  for (const OperatorTasks::Sample& sample : samples) {
    Rows rows = rows_of(sample);
    inputs.push_back(std::move(rows.tokens));
    tells.push_back(std::move(rows.tells));
    targets.insert(targets.end(), rows.answer.begin(), rows.answer.end());
    tasks.push_back(static_cast<std::int64_t>(kOperators.find(sample.problem.operation)));
  }
  const std::int64_t count = std::ssize(samples);
  Batch batch;
  batch.inputs = aligned(inputs, length);
  batch.targets =
      Tensor::from(std::span<const std::int64_t>(targets), {count, OperatorTasks::kAnswer});
  batch.others.push_back({"task", Tensor::from(std::span<const std::int64_t>(tasks), {count})});
  batch.others.push_back({"tells", aligned(tells, length)});
  return batch;
}

}  // namespace maskgrad
