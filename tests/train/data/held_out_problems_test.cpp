#include <algorithm>
#include <set>

#include <gmock/gmock.h>

#include <maskgrad/train/data/held_out_problems.hpp>

#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;

TEST(HeldOutProblems, AreAllOfSmallNumbersInEveryOrder) {
  const std::vector<ArithmeticProblem> problems = held_out_problems(100);
  std::set<std::string> texts;
  for (const ArithmeticProblem& p : problems) {
    ASSERT_TRUE(is_held_out(p.x, p.y));
    texts.insert(to_string(p));
  }
  EXPECT_EQ(texts.size(), problems.size()) << "each once";
  std::size_t pairs = 0;
  for (std::int64_t x = -99; x <= 99; ++x) {
    for (std::int64_t y = -99; y <= 99; ++y) pairs += is_held_out(x, y);
  }
  EXPECT_EQ(problems.size(), pairs * 12) << "three operations, two orders, two orders";
  EXPECT_EQ(problems.size(), 47'616U) << "what docs/arithmetic.md says";
}

TEST(HeldOutProblems, AreAlwaysTheSameWhereTheyAreDrawn) {
  const auto texts = [](std::int64_t max_val, std::int64_t samples) {
    std::vector<std::string> all;
    for (const ArithmeticProblem& p : held_out_problems(max_val, samples)) {
      EXPECT_TRUE(is_held_out(p.x, p.y));
      EXPECT_LT(std::max(std::abs(p.x), std::abs(p.y)), max_val);
      all.push_back(to_string(p));
    }
    return all;
  };
  EXPECT_EQ(texts(1000, 0).size(), 20'000U);
  const std::vector<std::string> some = texts(1000, 50);
  EXPECT_EQ(some.size(), 50U);
  EXPECT_EQ(texts(1000, 50), some);
  EXPECT_EQ(texts(100, 70).size(), 70U);
}

TEST(HeldOutProblems, AreRefusedWhereThereAreNone) {
  EXPECT_EQ(error_of([] { held_out_problems(100, -1); }),
            "[arithmetic] samples must be at least 0, not -1");
  ASSERT_FALSE(is_held_out(0, 0)) << "the only pair of numbers below 1";
  EXPECT_EQ(error_of([] { held_out_problems(1); }),
            "[arithmetic] no pair of numbers below 1 is held out");
}

}  // namespace
}  // namespace maskgrad
