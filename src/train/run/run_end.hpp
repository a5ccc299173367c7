// How a training run ended.
#pragma once

#include <cstdint>
#include <vector>

#include <maskgrad/train/trainer.hpp>

namespace maskgrad {

/// How a run ended, where it did not fail.
struct RunEnd {
  Trainer::Outcome outcome = Trainer::Outcome::kDone;
  std::int64_t steps = 0;  // steps that this call made
  double seconds = 0.0;    // the time that they took, with what was done between epochs
  /// Of these seconds those within epochs, as epochs.csv has them. What is validated and written
  /// between the steps of an epoch counts, and what is so at its end does not. After an interrupt
  /// they lack the epoch that it broke.
  double seconds_in_epochs = 0.0;
  /// The sums of the last epoch, or of the part of it that was done. Empty when this call made no
  /// step.
  std::vector<Metric> totals = {};
  std::int64_t batches = 0;  // the batches that totals sum up, if the epoch is not over; else 0
  /// The sums of the last validation. Empty when this call made none.
  std::vector<Metric> validation = {};
  /// True when patience ended the run before its last step.
  bool out_of_patience = false;
  /// The best weights by validation. A run that goes on without validation keeps those of its
  /// checkpoint. Undefined when the run never validated.
  BestWeights best = {};
};

}  // namespace maskgrad
