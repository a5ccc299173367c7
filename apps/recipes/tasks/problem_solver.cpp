#include "recipes/tasks/problem_solver.hpp"

#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/shape/concat.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/ops/shape/slice.hpp>
#include <maskgrad/train/data/arithmetic.hpp>
#include <maskgrad/train/data/operator_tasks.hpp>

namespace maskgrad::apps {
namespace {

constexpr auto kClasses = static_cast<std::int64_t>(kArithmeticVocabulary.size());
constexpr std::int64_t kAnswer = OperatorTasks::kAnswer, kWritten = OperatorTasks::kWritten;

// Which of the tokens written so far stand before token t of the answer: [1, 3, 2, 1].
Tensor written_before() {
  Tensor before = Tensor::empty({1, kAnswer, kWritten, 1}, DType::kBool);
  for (std::int64_t t = 0; t < kAnswer; ++t) {
    for (std::int64_t i = 0; i < kWritten; ++i) before.data<bool>()[t * kWritten + i] = i < t;
  }
  return before;
}

// x [B, 1, N] for each token of the answer: [B, 3, N].
Variable for_each_token(const Variable& x) {
  return ops::broadcast_to(x, {x.dim(0), kAnswer, x.dim(2)});
}

}  // namespace

ProblemSolver::ProblemSolver(const SolverSizes& sizes)
    : Layer("ProblemSolver", MaskRule::kEnds),
      length_(sizes.length),
      embed_(submodule("embed", std::make_unique<Embed>(kClasses, sizes.features))),
      first_(submodule("first", std::make_unique<Dense>(sizes.length * sizes.features, sizes.hidden,
                                                        ops::gelu))),
      second_(submodule("second", std::make_unique<Dense>(sizes.hidden, sizes.hidden, ops::gelu))),
      answer_(submodule("answer", std::make_unique<Dense>(sizes.hidden, kClasses))) {}

Variable ProblemSolver::forward(const Variable& tokens, Pass& pass) {
  check(tokens.rank() == 2 && tokens.dim(1) == length_, "ProblemSolver",
        "needs tokens [B, {}], got {}", length_, tokens.shape());
  const Variable x = ops::fill_masked(embed_(tokens, pass));
  const std::int64_t batch = x.dim(0), features = x.dim(2), shown = length_ - kWritten;
  const Variable problem = ops::reshape(ops::slice(x, 1, 0, shown), {batch, 1, shown * features});
  const Variable written =
      ops::broadcast_to(ops::reshape(ops::slice(x, 1, shown), {batch, 1, kWritten, features}),
                        {batch, kAnswer, kWritten, features});
  const Variable before = ops::reshape(ops::keep_where(written, written_before()),
                                       {batch, kAnswer, kWritten * features});
  const Variable all = ops::concat({for_each_token(problem), before}, 2);
  return answer_(second_(first_(all, pass), pass), pass);
}

}  // namespace maskgrad::apps
