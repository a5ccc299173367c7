// How good a mask is, and what it saves.
#pragma once

#include "recipes/distractors/kept_counts.hpp"
#include "recipes/distractors/pattern_information.hpp"
#include "recipes/distractors/selective_run.hpp"
#include "recipes/recipe.hpp"

namespace maskgrad::apps {

/// Figures of a SelectiveRun, summed over batches that it was not trained on.
class MaskFigures {
 public:
  void add(const Batch& batch, SelectiveRun& run);
  /// Times steps of the predictor on a batch, forward and backward: with the hard mask, and
  /// without. Times what makes the mask apart from them, forward alone.
  void time(const Batch& batch, SelectiveRun& run);

  /// The mean of p (1 - p), p the probability that a token is kept, and the accuracy with tokens
  /// that count as far as p says minus that with the hard mask. 0 where no mask is learned.
  double undecided() const;
  double hardening() const;

  Examination examination(const std::string& sampler, std::int64_t count) const;

 private:
  void add_patterns(const Batch& batch, const SequenceMask& mask);

  Metric accuracy_{"accuracy"}, accuracy_oracle_{"accuracy_oracle"},
      accuracy_soft_{"accuracy_soft"};
  Metric read_{"read"};         // of all tokens, those that ask included
  std::vector<double> shares_;  // of tokens, by the mask before it is hard
  KeptCounts kept_;
  PatternInformation pattern_;
  double us_mask_ = 0, us_hard_ = 0, us_full_ = 0;
};

}  // namespace maskgrad::apps
