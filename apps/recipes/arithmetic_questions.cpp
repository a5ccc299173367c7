#include "recipes/arithmetic_questions.hpp"

#include <algorithm>
#include <cstdlib>

namespace maskgrad::apps {

std::vector<Question> arithmetic_questions(
    std::int64_t max_val, const std::function<bool(const ArithmeticProblem&)>& may_ask,
    const std::function<std::string(std::int64_t result)>& answer) {
  constexpr std::size_t kCount = 8;
  constexpr std::uint64_t kSeed = 0x5265706F72740000, kTries = 10'000;  // of no data by chance
  const ArithmeticProblem known = parse_problem("x=-12,y=24:y-x");
  std::vector<Question> questions;
  const auto add = [&](const ArithmeticProblem& problem) {
    if (may_ask(problem)) questions.push_back({to_string(problem), answer(problem.result())});
  };
  if (std::max(std::abs(known.x), std::abs(known.y)) < max_val) add(known);
  for (std::uint64_t i = 0; i < kTries && questions.size() < kCount; ++i) {
    add(draw_problem(kSeed, i, max_val));
  }
  return questions;
}

}  // namespace maskgrad::apps
