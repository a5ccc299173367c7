// How a training run ended.
#pragma once

#include <cstdint>
#include <vector>

#include <maskgrad/train/trainer.hpp>

namespace maskgrad {

/// How a run ended that did not fail.
struct RunEnd {
  Trainer::Outcome outcome = Trainer::Outcome::kDone;
  std::int64_t steps = 0;  // that this call made
  double seconds = 0.0;    // that they took
  /// Of the last epoch, or of what was done of it. Empty when this call made no step.
  std::vector<Metric> totals = {};
  std::int64_t batches = 0;  // of an epoch that is not over, which totals are of; 0: it is over
  /// By validation. A run that goes on without validation keeps those of its checkpoint. Undefined
  /// when there never was one.
  BestWeights best = {};
};

}  // namespace maskgrad
