// What answers a problem of arithmetic.
#pragma once

#include <maskgrad/layers/dense.hpp>
#include <maskgrad/layers/embed.hpp>

namespace maskgrad::apps {

struct SolverSizes {
  std::int64_t length = 0;  // of an input
  std::int64_t features = 16, hidden = 128;
};

/// Tokens [B, S] of OperatorTasks, whose mask says what is read -> logits of the answer [B, 3, V].
/// A vector for each token, side by side, goes through two hidden layers. A token that is masked is
/// a vector of zeros. Each token of the answer is computed from the problem and from the answer's
/// tokens before it. So who does not know the task can say "either 7 or 12", and need not mix up
/// their digits.
class ProblemSolver : public Layer {
 public:
  explicit ProblemSolver(const SolverSizes& sizes);

 protected:
  Variable forward(const Variable& tokens, Pass& pass) override;

 private:
  std::int64_t length_;
  Embed& embed_;
  Dense &first_, &second_, &answer_;
};

}  // namespace maskgrad::apps
