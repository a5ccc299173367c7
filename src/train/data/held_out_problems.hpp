// Problems that no model was trained on, to examine one with.
#pragma once

#include <vector>

#include <maskgrad/train/data/arithmetic_problem.hpp>

namespace maskgrad {

/// Problems below max_val of pairs that is_held_out() keeps from training. With `samples` above 0,
/// so many of them, drawn at random, always the same ones. With 0, all of them in all orders where
/// max_val is at most 100, and 20,000 drawn ones for a larger max_val. Throws Error for samples
/// below 0, as check_max_val(), and where no pair below max_val is held out.
std::vector<ArithmeticProblem> held_out_problems(std::int64_t max_val, std::int64_t samples = 0);

}  // namespace maskgrad
