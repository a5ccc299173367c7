// Numbers that a model of arithmetic was trained on.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <utility>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/train/data/arithmetic_problem.hpp>

namespace maskgrad::apps {

/// The most that the setting max_val may be.
inline constexpr std::int64_t kMostMaxVal = 1'000'000'000;

/// x=-12,y=24:y-x, or with the largest numbers that a model of smaller ones knows.
inline ArithmeticProblem sample_problem(std::int64_t max_val) {
  return {.x = -std::min<std::int64_t>(12, max_val - 1),
          .y = std::min<std::int64_t>(24, max_val - 1),
          .starts_with_x = false,
          .operation = '-'};
}

/// Throws Error "[<who>] x is 100: the model was trained on numbers from -99 to 99 ..." unless both
/// numbers are smaller than max_val in absolute value. It names --max-val where the recipe has it.
inline void check_is_below(const ArithmeticProblem& problem, std::int64_t max_val, const char* who,
                           bool is_setting = true) {
  for (const auto& [name, value] : {std::pair('x', problem.x), std::pair('y', problem.y)}) {
    if (value > -max_val && value < max_val) continue;
    const bool may_be = value > -kMostMaxVal && value < kMostMaxVal;
    fail(who, "{} is {}: the model was trained on numbers from {} to {}{}", name, value,
         1 - max_val, max_val - 1,
         may_be && is_setting ? fmt::format(" (train one with --max-val {})", std::abs(value) + 1)
                              : "");
  }
}

}  // namespace maskgrad::apps
