// How many answers are right, by kind of problem.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include <maskgrad/train/data/arithmetic_problem.hpp>

#include "recipes/recipe.hpp"

namespace maskgrad::apps {

/// Counts answers by operation, by sign, and by digits of the true answer.
class AnswerTable {
 public:
  /// `answer`: what the model answers; nothing where it writes none.
  void add(const ArithmeticProblem& problem, std::optional<std::int64_t> answer);

  /// A row for each kind of problem, and one for each operation. The shares are exact_add,
  /// exact_subtract and exact_multiply, where there are such problems.
  Examination examination() const;

 private:
  struct Count {
    std::int64_t all = 0, right = 0;
    double share() const { return static_cast<double>(right) / static_cast<double>(all); }
  };
  using Kind = std::tuple<std::size_t, int, int>;  // operation, sign, digits

  std::map<Kind, Count> kinds_;
  std::array<Count, 3> operations_;
  std::vector<std::string> mistakes_;
};

}  // namespace maskgrad::apps
