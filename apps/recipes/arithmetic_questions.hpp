// Questions of arithmetic for reports.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <maskgrad/train/data/arithmetic_problem.hpp>

#include "recipes/recipe.hpp"

namespace maskgrad::apps {

/// The README's question, where its numbers are below max_val, and drawn ones: eight in all. The
/// same ones every time. `may_ask` leaves others out; `answer` is what a model should say to a
/// result.
std::vector<Question> arithmetic_questions(
    std::int64_t max_val, const std::function<bool(const ArithmeticProblem&)>& may_ask,
    const std::function<std::string(std::int64_t result)>& answer);

}  // namespace maskgrad::apps
