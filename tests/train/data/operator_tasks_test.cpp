#include <algorithm>
#include <array>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <set>

#include <gmock/gmock.h>

#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/data/distractors.hpp>
#include <maskgrad/train/data/operator_tasks.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using ::testing::ElementsAre;

std::vector<std::int64_t> first_ids(std::int64_t count) {
  std::vector<std::int64_t> ids(static_cast<std::size_t>(count));
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

std::int64_t computed(char operation, std::int64_t a, std::int64_t b) {
  return operation == '+' ? a + b : operation == '-' ? a - b : a * b;
}

// A row of a batch as text, without padding.
struct Row {
  std::string text, tells, target;
};
Row row_of(const Batch& batch, std::int64_t b) {
  const std::int64_t length = batch.inputs.dim(1);
  Row row;
  for (std::int64_t i = b * length; i < (b + 1) * length; ++i) {
    const std::int64_t token = batch.inputs.data<std::int64_t>()[i];
    const std::int64_t tells = batch["tells"].data<std::int64_t>()[i];
    if (token == kPadToken) {
      EXPECT_TRUE(row.text.empty()) << "padding stands in front";
      EXPECT_EQ(tells, 0);
      continue;
    }
    row.text += kArithmeticVocabulary[static_cast<std::size_t>(token)];
    row.tells += tells == 1 ? '^' : '.';
  }
  for (std::int64_t i = 0; i < 3; ++i) {
    const std::int64_t token = batch.targets.data<std::int64_t>()[3 * b + i];
    row.target += kArithmeticVocabulary[static_cast<std::size_t>(token)];
  }
  return row;
}

// The operands of "-3*+4".
std::array<std::int64_t, 2> operands_of(const std::string& prompt) {
  return {std::stoi(prompt.substr(0, 2)), std::stoi(prompt.substr(3, 2))};
}

TEST(OperatorTasks, ShowTheOperatorAndAskForTheWholeAnswer) {
  const OperatorTasks data({.samples = 400, .most_lead = 3, .seed = 3});
  const Batch batch = data.collate(first_ids(400));
  EXPECT_EQ(batch.inputs.dim(1), 3 + 5 + 1 + 2);
  EXPECT_EQ(batch.inputs.dim(1), data.length());
  std::set<std::size_t> leads;
  std::array<int, 3> tasks = {};
  for (std::int64_t b = 0; b < 400; ++b) {
    const Row row = row_of(batch, b);
    const std::size_t lead = row.text.find_first_not_of('|');
    leads.insert(lead);
    const std::string prompt = row.text.substr(lead, 5);
    const auto [left, right] = operands_of(prompt);
    const std::int64_t answer = computed(prompt[2], left, right);
    ASSERT_EQ(std::stoi(row.target), answer) << row.text;
    ASSERT_EQ(row.text.substr(lead + 5), "|" + row.target.substr(0, 2));
    std::string tells(row.text.size(), '.');
    tells[lead + 2] = '^';
    ASSERT_EQ(row.tells, tells) << row.text;
    const std::int64_t task = batch["task"].data<std::int64_t>()[b];
    ASSERT_EQ(prompt[2], "+-*"[task]);
    ++tasks[static_cast<std::size_t>(task)];
  }
  EXPECT_THAT(leads, ElementsAre(0, 1, 2, 3));
  for (const int count : tasks) EXPECT_NEAR(count, 400.0 / 3, 4 * 9.5);
}

TEST(OperatorTasks, HideTheOperatorBehindTwoExamples) {
  const OperatorTasks data({.samples = 300, .seed = 4, .from = TaskFrom::kExamples});
  const Batch batch = data.collate(first_ids(300));
  for (std::int64_t b = 0; b < 300; ++b) {
    const Row row = row_of(batch, b);
    const std::size_t lead = row.text.find_first_not_of('|');
    const std::string prompt = row.text.substr(lead + 20, 5);
    ASSERT_EQ(prompt[2], ',') << row.text;
    std::string fits;
    for (const char operation : {'+', '-', '*'}) {
      bool all = true;
      for (const std::size_t at : {lead, lead + 10}) {
        const std::string example = row.text.substr(at, 10);  // "-3,+4=+01|"
        EXPECT_EQ(example[9], '|');
        all = all && computed(operation, std::stoi(example.substr(0, 2)),
                              std::stoi(example.substr(3, 2))) == std::stoi(example.substr(6, 3));
      }
      if (all) fits += operation;
    }
    ASSERT_EQ(fits.size(), 1u) << row.text << " fits " << fits;
    ASSERT_EQ(fits[0], "+-*"[batch["task"].data<std::int64_t>()[b]]);
    const auto [left, right] = operands_of(prompt);
    ASSERT_EQ(std::stoi(row.target), computed(fits[0], left, right));
    std::string tells(row.text.size(), '.');
    std::fill_n(tells.begin() + static_cast<std::ptrdiff_t>(lead), 20, '^');
    ASSERT_EQ(row.tells, tells) << row.text;
  }
}

TEST(OperatorTasks, KeepPairsOfExamplesFromTrainingToo) {
  for (const bool held_out : {false, true}) {
    const OperatorTasks data(
        {.samples = 200, .seed = 1, .from = TaskFrom::kExamples, .held_out = held_out});
    int same = 0;
    for (std::int64_t i = 0; i < 200; ++i) {
      const OperatorTasks::Sample sample = data.sample(i);
      same += task_prompt(sample.problem) == task_prompt(data.sample(i, 1).problem);
      ASSERT_EQ(sample.examples.size(), 2u);
      for (const TaskProblem& p : {sample.problem, sample.examples[0], sample.examples[1]}) {
        EXPECT_EQ(is_held_out_in_order(p.left, p.right), held_out);
        EXPECT_TRUE(p.left != 0 && p.right != 0 && std::abs(p.left) <= 9 && std::abs(p.right) <= 9);
      }
    }
    EXPECT_LT(same, 20) << "each epoch draws others";
  }
}

TEST(OperatorTasks, AreMadeOfTheirNumbersAlone) {
  const OperatorTasks data({.samples = 20, .seed = 2});
  const std::int64_t one = 7;
  const Batch batch = data.collate_in(2, {&one, 1});
  EXPECT_EQ(batch.epoch, 2);
  EXPECT_TRUE(test::same_bits(
      batch.inputs, collate_operator_tasks(std::array{data.sample(7, 2)}, data.length()).inputs));
  EXPECT_EQ(data.fingerprint(),
            "20 problems an epoch, told by operator, with up to 3 before, of seed 2, not held out");
}

TEST(WorkedExamples, TellTheOperatorUnlessSeveralFit) {
  EXPECT_FALSE(tell_the_operator({TaskProblem{2, 2, '+'}, TaskProblem{2, 2, '*'}}))
      << "2 + 2 = 2 * 2";
  EXPECT_TRUE(tell_the_operator({TaskProblem{2, 2, '+'}, TaskProblem{3, 2, '+'}}));
  EXPECT_EQ(worked_example({4, -3, '-'}), "+4,-3=+07|");
  EXPECT_EQ(task_prompt({-3, 4, '*'}), "-3*+4");
}

TEST(OperatorTasks, RefuseNumbersOutOfRange) {
  const OperatorTasks::Sample sample = {.problem = {3, 4, '+'}};
  EXPECT_EQ(error_of([&] { collate_operator_tasks(std::array{sample}, 7); }),
            "[tasks] a sample of 8 tokens does not fit 7");
  EXPECT_EQ(error_of([] { OperatorTasks({.samples = -1}); }),
            "[tasks] samples must be from 0 to 2^40, not -1");
  EXPECT_EQ(error_of([] { OperatorTasks({.most_lead = 1001}); }),
            "[tasks] the lead must be from 0 to 1000 tokens, not 1001");
  EXPECT_EQ(error_of([] { OperatorTasks({.samples = 3}).sample(3); }),
            "[tasks] there is no sample 3: there are 3");
  EXPECT_EQ(error_of([] { task_from_string("names"); }),
            "[tasks] a task is told by operator or examples, not by 'names'");
}

constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();

// A wrong sample would mark another token than the one that tells the task.
TEST(OperatorTasks, RefuseSamplesThatAreNoneOfTheirs) {
  const auto error = [](const OperatorTasks::Sample& sample) {
    return error_of([&] { collate_operator_tasks(std::array{sample}, 100); });
  };
  for (const std::int64_t wrong : {std::int64_t{12}, std::int64_t{-10}, std::int64_t{0}, kLeast}) {
    const std::string says = fmt::format(
        "[tasks] operands have one digit and are not 0, and {} is no such number", wrong);
    EXPECT_EQ(error({.problem = {3, wrong, '*'}}), says);
    EXPECT_EQ(error({.problem = {wrong, 3, '*'}}), says);
    EXPECT_EQ(error({{3, 4, '-'}, 0, {{1, 2, '-'}, {wrong, 2, '-'}}}), says);
  }
  EXPECT_EQ(error({.problem = {3, 4, '/'}}), "[tasks] an operator is one of +-*, and '/' is none");
  EXPECT_EQ(error({.problem = {3, 4, '+'}, .lead = -1}),
            "[tasks] the lead must be from 0 to 1000 tokens, not -1");
  EXPECT_EQ(error({.problem = {3, 4, '+'}, .lead = kLeast}),
            fmt::format("[tasks] the lead must be from 0 to 1000 tokens, not {}", kLeast));
  EXPECT_EQ(error({{3, 4, '+'}, 0, {{1, 2, '+'}}}),
            "[tasks] a sample has two examples or none, not 1");
  EXPECT_EQ(error({{3, 4, '+'}, 0, {{1, 2, '+'}, {1, 2, '-'}}}),
            "[tasks] an example of - does not tell that + is meant");
}

TEST(TaskProblems, HaveTheResultsOfTheirOperatorsAndNoOthers) {
  constexpr std::int64_t kMost = 1'000'000'000;
  for (const std::int64_t left : {-kMost, std::int64_t{-7}, kMost}) {
    for (const std::int64_t right : {-kMost, std::int64_t{5}, kMost}) {
      for (const char operation : {'+', '-', '*'}) {
        EXPECT_EQ((TaskProblem{left, right, operation}).result(), computed(operation, left, right));
      }
    }
  }
  EXPECT_EQ(error_of([] {
              TaskProblem{1, 2, '/'}.result();
            }),
            "[arithmetic] '/' is none of the operations +-*");
  for (const std::int64_t wrong : {kMost + 1, -kMost - 1, kLeast}) {
    const std::string says = fmt::format("[arithmetic] {} is beyond 1000000000", wrong);
    EXPECT_EQ(error_of([&] { TaskProblem{wrong, 2, '*'}.result(); }), says);
    EXPECT_EQ(error_of([&] { TaskProblem{2, wrong, '-'}.result(); }), says);
  }
}

}  // namespace
}  // namespace maskgrad
