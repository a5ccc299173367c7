// How good a mask is, and what it saves.
#pragma once

#include <optional>

#include "recipes/distractors/kept_counts.hpp"
#include "recipes/distractors/pattern_information.hpp"
#include "recipes/distractors/selective_run.hpp"
#include "recipes/recipe.hpp"

namespace maskgrad::apps {

/// Figures of a SelectiveRun, summed over batches that it was not trained on.
class MaskFigures {
 public:
  void add(const Batch& batch, SelectiveRun& run);
  /// Times steps of the predictor on a batch, forward and backward, without the hard mask. Where
  /// there is one, times steps with it, too, and apart from them what makes it, forward alone.
  void time(const Batch& batch, SelectiveRun& run, bool has_mask);

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
  // In microseconds.
  struct MaskTimes {
    double mask = 0, hard = 0;
  };
  std::optional<MaskTimes> us_of_mask_;  // none: there is no mask
  double us_full_ = 0;
};

}  // namespace maskgrad::apps
