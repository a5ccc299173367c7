// A gradient for decisions that were drawn: how likely they were, weighed by how well they did.
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad {

/// What is subtracted from a loss before it weighs a decision. None changes what the gradient is on
/// average. All but kNone lower how much it varies.
enum class Baseline : std::uint8_t {
  kNone,
  kRunning,      // an average of the losses of the calls before
  kLeaveOneOut,  // the mean loss of the other samples of the same sequence (Kool et al. 2019)
};
/// "none", "running", "leave-one-out".
std::string_view to_string(Baseline baseline);
/// The inverse. Throws Error for any other text.
Baseline baseline_from_string(std::string_view name);

struct ScoreFunctionOptions {
  Baseline baseline = Baseline::kLeaveOneOut;
  std::int64_t samples = 4;  // K, of each sequence
  double decay = 0.99;       // of the running average
};

/// The score-function estimator (Williams 1992). A batch holds each of its sequences K times, one
/// beside the other, and decisions were drawn for each by itself. The estimator of the gradient of
/// the sum over the sequences of E[loss] is
///   sum over rows r of (loss_r - baseline_r) d log_probability_r / K.
/// The cost of a mask has a closed form (sparsity_cost.hpp) and should not go through here.
class ScoreFunction {
 public:
  /// Throws Error unless samples is above 0, and above 1 with kLeaveOneOut, and decay in [0, 1).
  explicit ScoreFunction(const ScoreFunctionOptions& options = {});

  /// A scalar whose gradient is the estimator. Its value means nothing. losses: floating [R], R a
  /// multiple of K, of the rows as they were drawn. log_probability [R, S], see Reinforce; its
  /// holes do not count. With kRunning the losses count in the baseline of later calls. Throws
  /// Error for other shapes and dtypes.
  Variable surrogate(const Tensor& losses, const Variable& log_probability);

  /// The average that kRunning subtracts in the next call; 0 before the first.
  double running() const { return running_; }

 private:
  Tensor advantages(const Tensor& losses, DType dtype) const;
  void remember(const Tensor& losses);

  ScoreFunctionOptions options_;
  double running_ = 0;
  bool has_run_ = false;
};

}  // namespace maskgrad
