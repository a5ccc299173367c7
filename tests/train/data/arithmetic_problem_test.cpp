#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>

#include <gmock/gmock.h>

#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/data/arithmetic_problem.hpp>

#include "support/errors.hpp"
#include "support/files.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::test_data;

// Prompt, steps and answer, as another program wrote them.
struct Line {
  std::string prompt, steps, answer;
};
std::vector<Line> lines_of_another_program() {
  std::ifstream file(test_data("arithmetic_steps.tsv"));
  std::vector<Line> lines;
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    Line read;
    std::getline(fields, read.prompt, '\t');
    std::getline(fields, read.steps, '\t');
    std::getline(fields, read.answer, '\t');
    lines.push_back(read);
  }
  return lines;
}

std::vector<ArithmeticProblem> problems_of(std::int64_t x, std::int64_t y) {
  std::vector<ArithmeticProblem> problems;
  for (const char operation : {'+', '-', '*'}) {
    for (const bool defines_x_first : {false, true}) {
      for (const bool starts_with_x : {false, true}) {
        problems.push_back({x, y, defines_x_first, starts_with_x, operation});
      }
    }
  }
  return problems;
}

TEST(WorkingSteps, AreThoseOfAnotherProgram) {
  const std::vector<Line> lines = lines_of_another_program();
  ASSERT_EQ(lines.size(), 310u);
  for (const auto& [prompt, steps, answer] : lines) {
    const ArithmeticProblem problem = parse_problem(prompt);
    const int digits = static_cast<int>(prompt.find(',')) - 3;  // x=+12,
    EXPECT_EQ(fixed_prompt(problem, digits), prompt);
    EXPECT_EQ(working_steps(problem, digits), steps);
    EXPECT_EQ(std::to_string(problem.result()), answer);
  }
}

TEST(WorkingSteps, EndWithTheAnswer) {
  for (const std::int64_t x : {-99, -98, -50, -10, -9, -1, 0, 1, 7, 10, 45, 99}) {
    for (const std::int64_t y : {-99, -63, -10, -9, -1, 0, 2, 9, 10, 11, 98, 99}) {
      for (const ArithmeticProblem& problem : problems_of(x, y)) {
        for (const int digits : {2, 4}) {
          EXPECT_EQ(answer_in(working_steps(problem, digits)), problem.result())
              << to_string(problem);
        }
      }
    }
  }
  const ArithmeticProblem largest = {-999999999, 999999999, true, true, '*'};
  EXPECT_EQ(answer_in(working_steps(largest, 9)), largest.result());
}

TEST(WorkingSteps, UseTheVocabularyAndAreOfOneLengthForAnOperation) {
  std::map<char, std::size_t> lengths;
  for (std::uint64_t i = 0; i < 300; ++i) {
    const ArithmeticProblem problem = draw_problem(1, i, 100);
    const std::string text = fixed_prompt(problem, 2) + working_steps(problem, 2);
    EXPECT_EQ(arithmetic_text(arithmetic_tokens(text)), text);
    const auto [length, is_new] = lengths.emplace(problem.operation, text.size());
    EXPECT_EQ(length->second, text.size());
  }
  EXPECT_EQ(lengths['+'], 39u);
  EXPECT_EQ(lengths['-'], 39u);
  EXPECT_EQ(lengths['*'], 53u);
}

TEST(WorkingSteps, RefuseNumbersOfMoreDigits) {
  EXPECT_EQ(error_of([] {
              working_steps({100, 1, true, true, '+'}, 2);
            }),
            "[arithmetic] 100 has more than 2 digits");
  EXPECT_EQ(error_of([] {
              fixed_prompt({1, -100, true, true, '+'}, 2);
            }),
            "[arithmetic] -100 has more than 2 digits");
  constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
  EXPECT_EQ(error_of([] {
              fixed_prompt({1, kLeast, true, true, '+'}, 9);
            }),
            fmt::format("[arithmetic] {} has more than 9 digits", kLeast));
  for (const int digits : {0, 10}) {
    EXPECT_EQ(error_of([&] { working_steps({}, digits); }),
              fmt::format("[arithmetic] digits must be 1 to 9, not {}", digits));
  }
}

TEST(AnswerIn, ReadsTheLastFieldAndNothingElse) {
  EXPECT_EQ(answer_in("|y+24-x-12+|+06+03|+630|"), 36);
  EXPECT_EQ(answer_in("|x+5*y-0-|00||-00|"), 0);
  EXPECT_EQ(answer_in("|x-98*y+47-|56633236|0810071016|-6064|"), -4606);
  for (const char* text :
       {"", "|", "||", "|+630|", "|y+24-x-12+|", "|y+4-x-2+|+06|", "|y+24-x-12+|+06+03|+630",
        "|y+24-x-12+|+06+03|630|", "|y+24-x-12+|+06+03|+|", "|y+24-x-12+|+06+03|+6 0|",
        "|y+24-x-12+|+06+03|+-60|", "|y+24-x-12+|+06+03|+630|+630|",
        "|x-98*y+47-|56633236|0810071016|", "|y+24-x-12+|+06+03|+12345678901234567890|"}) {
    EXPECT_EQ(answer_in(text), std::nullopt) << text;
  }
}

TEST(Problem, GoesToTextAndBack) {
  for (const ArithmeticProblem& problem : problems_of(-12, 24)) {
    const ArithmeticProblem read = parse_problem(to_string(problem));
    EXPECT_EQ(to_string(read), to_string(problem));
    EXPECT_EQ(read.result(), problem.result());
  }
  EXPECT_EQ(to_string(ArithmeticProblem{-12, 24, true, false, '-'}), "x=-12,y=24:y-x");
  EXPECT_EQ(to_string(parse_problem("y=+007,x=-0:x*y")), "y=7,x=0:x*y");
}

TEST(Problem, RefusesTextThatIsNone) {
  for (const char* text :
       {"", "x", "x=", "x=1", "x=1,", "x=1,x=2:x+y", "x=1,y=2:x+x", "x=1,y=2:x/y", "x=1,y=2:x+y ",
        " x=1,y=2:x+y", "x=--1,y=2:x+y", "x=1;y=2:x+y", "x=1,y=2:x+", "z=1,y=2:x+y", "x=,y=2:x+y",
        "x=1.5,y=2:x+y", "x=0x1,y=2:x+y"}) {
    EXPECT_THAT(error_of([&] { parse_problem(text); }),
                ::testing::StartsWith(
                    fmt::format("[arithmetic] '{}' is not a problem of the form ", text)));
  }
  EXPECT_EQ(error_of([] { parse_problem("x=1000000001,y=2:x+y"); }),
            "[arithmetic] a number in 'x=1000000001,y=2:x+y' is beyond 1000000000");
  EXPECT_EQ(error_of([] { parse_problem("x=1,y=99999999999999999999:x+y"); }),
            "[arithmetic] a number in 'x=1,y=99999999999999999999:x+y' is beyond 1000000000");
}

TEST(HeldOut, IsATenthOfAllPairsInEitherOrder) {
  std::int64_t held_out = 0, all = 0;
  for (std::int64_t x = -99; x <= 99; ++x) {
    for (std::int64_t y = -99; y <= x; ++y) {
      EXPECT_EQ(is_held_out(x, y), is_held_out(y, x));
      held_out += is_held_out(x, y);
      ++all;
    }
  }
  // Within five standard deviations of a binomial count.
  const auto many = static_cast<double>(all);
  EXPECT_NEAR(static_cast<double>(held_out), 0.1 * many, 5 * std::sqrt(0.09 * many));
}

}  // namespace
}  // namespace maskgrad
