#include "recipes/tasks/task_text.hpp"

#include <algorithm>
#include <charconv>
#include <span>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/formats/utf8.hpp>

#include "recipes/without_blanks.hpp"

namespace maskgrad::apps {
namespace {

constexpr const char* kName = "tasks";

std::int64_t number_in(std::string_view text, std::string_view whole) {
  const std::string_view digits = text.starts_with('+') ? text.substr(1) : text;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool is_all = error == std::errc() && end == digits.data() + digits.size();
  check(is_all && !text.starts_with("+-"), kName, "{} is no number, in {}",
        quote(std::string(text)), quote(std::string(whole)));
  return number;
}

std::int64_t operand_in(std::string_view text, std::string_view whole) {
  const std::int64_t number = number_in(text, whole);
  check(number != 0 && number >= -9 && number <= 9, kName,
        "the model was trained on numbers from -9 to 9 without 0, not on {}", number);
  return number;
}

// "-3*4", or "-3,4" where its operator is hidden.
TaskProblem problem_in(std::string_view text, std::string_view operators) {
  const std::size_t at = text.find_first_of(operators, 1);
  check(at != std::string_view::npos, kName, "{} has none of {} between two numbers",
        quote(std::string(text)), operators);
  return {.left = operand_in(text.substr(0, at), text),
          .right = operand_in(text.substr(at + 1), text),
          .operation = text[at]};
}

// "-3,4=1": a problem of which no operator is known, and its answer.
struct Example {
  TaskProblem problem;
  std::int64_t answer = 0;
};

Example example_in(std::string_view text) {
  const std::size_t equal = text.find('=');
  check(equal != std::string_view::npos, kName, "{} is no example such as -3,4=1",
        quote(std::string(text)));
  return {problem_in(text.substr(0, equal), ","), number_in(text.substr(equal + 1), text)};
}

// The one that gives the answers of all examples.
char operator_of(std::span<const Example> examples) {
  std::string found;
  for (const char operation : kOperators) {
    const auto fits = [&](const Example& example) {
      TaskProblem p = example.problem;
      p.operation = operation;
      return p.result() == example.answer;
    };
    if (std::ranges::all_of(examples, fits)) found += operation;
  }
  check(!found.empty(), kName, "no operator gives the answers of both examples");
  check(found.size() == 1, kName, "the examples fit {} operators, {}", found.size(), found);
  return found[0];
}

OperatorTasks::Sample sample_with_examples(std::string_view text) {
  const std::size_t first = text.find('|'), second = text.find('|', first + 1);
  check(second != std::string_view::npos, kName, "{} is not written as {}",
        quote(std::string(text)), example_of_task(TaskFrom::kExamples));
  const Example examples[] = {example_in(text.substr(0, first)),
                              example_in(text.substr(first + 1, second - first - 1))};
  OperatorTasks::Sample sample = {.problem = problem_in(text.substr(second + 1), ",")};
  sample.problem.operation = operator_of(examples);
  for (const Example& example : examples) {
    sample.examples.push_back(example.problem);
    sample.examples.back().operation = sample.problem.operation;
  }
  return sample;
}

}  // namespace

OperatorTasks::Sample task_sample(std::string_view text, TaskFrom from) {
  const std::string line = without_blanks(text);
  const std::size_t first = line.find_first_not_of('|'), last = line.find_last_not_of('|');
  const std::string whole = first == std::string::npos ? "" : line.substr(first, last + 1 - first);
  if (from == TaskFrom::kExamples) return sample_with_examples(whole);
  return {.problem = problem_in(whole, kOperators)};
}

std::string example_of_task(TaskFrom from) {
  return from == TaskFrom::kOperator ? "-3*4" : "-3,4=-7|5,-2=7|-3,4";
}

std::vector<std::string> task_labels(const Batch& batch) {
  std::vector<std::string> labels;
  for (const std::int64_t& token : batch.inputs.values<std::int64_t>()) {
    labels.push_back(arithmetic_text({&token, 1}));
  }
  return labels;
}

}  // namespace maskgrad::apps
