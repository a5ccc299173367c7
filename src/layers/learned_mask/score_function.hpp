// A gradient for decisions that were drawn: how likely they were, weighed by how well they did.
#pragma once

#include <optional>

#include <maskgrad/tensor/autograd/variable.hpp>
#include <maskgrad/tensor/cpu/pool_allocator.hpp>

namespace maskgrad {

/// What is subtracted from a loss before it weighs a decision. None changes what the gradient is on
/// average. All but kNone lower how much it varies.
enum class Baseline : std::uint8_t {
  kNone,
  kRunning,      // an average of the losses of the calls before
  kLeaveOneOut,  // the mean loss of the other samples of the same sequence (Kool et al. 2019)
  kLearned,      // what a model predicts the loss to be, before it sees the decisions
};
/// "none", "running", "leave-one-out", "learned".
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
/// It trains the decisions alone: a model behind them needs the gradient of the losses besides. The
/// cost of a mask has a closed form (sparsity_cost.hpp) and should not go through here. The weights
/// of the rows are computed on the host, which waits for losses that are on a device.
class ScoreFunction {
 public:
  /// Throws Error unless samples is above 0, and above 1 with kLeaveOneOut, and decay in [0, 1).
  explicit ScoreFunction(const ScoreFunctionOptions& options = {});

  /// A scalar whose gradient is the estimator. Its value means nothing. losses: floating [R], R a
  /// multiple of K, of the rows as they were drawn. log_probability [R, S], see Reinforce; its
  /// holes do not count. With kRunning the losses count in the baseline of later calls. Throws
  /// Error for other shapes and dtypes, and with kLearned, and NotFiniteError for losses that are
  /// not finite.
  Variable surrogate(const Tensor& losses, const Variable& log_probability);
  /// The same with kLearned. predicted [R] is what a model makes of the sequences alone. It gets
  /// the gradient of sum over rows of (predicted_r - loss_r)^2 / (2 K), so it learns to predict.
  /// Throws Error as above, and for another baseline.
  Variable surrogate(const Tensor& losses, const Variable& log_probability,
                     const Variable& predicted);

  /// The average that kRunning subtracts in the next call; nothing before the first. A run that
  /// goes on sets what it had.
  std::optional<double> running() const { return running_; }
  void set_running(std::optional<double> average) { running_ = average; }

 private:
  void check_inputs(const Tensor& losses, const Variable& log_probability) const;
  PoolVector<double> baselines(const PoolVector<double>& losses) const;
  Variable weighed(const PoolVector<double>& losses, const PoolVector<double>& baselines,
                   const Variable& log_probability) const;
  void remember(const PoolVector<double>& losses);

  ScoreFunctionOptions options_;
  std::optional<double> running_;
};

}  // namespace maskgrad
