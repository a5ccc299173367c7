#include <maskgrad/tensor/error.hpp>
#include <maskgrad/train/data/held_out_problems.hpp>

namespace maskgrad {
namespace {

constexpr std::int64_t kLargestWhole = 100;
constexpr std::int64_t kDrawn = 20'000;

std::vector<ArithmeticProblem> all_problems(std::int64_t max_val) {
  std::vector<ArithmeticProblem> problems;
  for (std::int64_t x = 1 - max_val; x < max_val; ++x) {
    for (std::int64_t y = 1 - max_val; y < max_val; ++y) {
      if (!is_held_out(x, y)) continue;
      for (const char operation : {'+', '-', '*'}) {
        for (const bool defines_x_first : {true, false}) {
          for (const bool starts_with_x : {true, false}) {
            problems.push_back({x, y, defines_x_first, starts_with_x, operation});
          }
        }
      }
    }
  }
  return problems;
}

std::vector<ArithmeticProblem> drawn_problems(std::int64_t max_val, std::int64_t samples) {
  constexpr std::uint64_t kSeed = 0x68656c64;  // any other than 0, 1, ...
  std::vector<ArithmeticProblem> problems;
  for (std::uint64_t i = 0; std::ssize(problems) < samples; ++i) {
    const ArithmeticProblem p = draw_problem(kSeed, i, max_val);
    if (is_held_out(p.x, p.y)) problems.push_back(p);
  }
  return problems;
}

}  // namespace

std::vector<ArithmeticProblem> held_out_problems(std::int64_t max_val, std::int64_t samples) {
  check_max_val(max_val);
  check(samples >= 0, "arithmetic", "samples must be at least 0, not {}", samples);
  if (max_val > kLargestWhole) return drawn_problems(max_val, samples > 0 ? samples : kDrawn);
  std::vector<ArithmeticProblem> all = all_problems(max_val);
  check(!all.empty(), "arithmetic", "no pair of numbers below {} is held out", max_val);
  return samples > 0 && samples < std::ssize(all) ? drawn_problems(max_val, samples) : all;
}

}  // namespace maskgrad
