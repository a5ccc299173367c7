// The phases of a run that learns a mask, and what a token costs in each step.
#pragma once

#include <cstdint>
#include <string>

#include <maskgrad/layers/learned_mask/ramp.hpp>
#include <maskgrad/layers/learned_mask/sparsity_cost.hpp>

#include "recipes/distractors/selective_model.hpp"

namespace maskgrad::apps {

/// What becomes of the tokens that a model reads.
struct SelectiveOptions {
  std::string sampler = "gumbel";  // sampler_names(), or "none", or "oracle": junk is left out
  Scorer scorer = Scorer::kClass;
  Price price = Price::kKept;
  double cost = 0.05;  // of a token, in nats
  /// By how many nats an answer's loss may be above that with all tokens, before nothing is paid
  /// for tokens any more. Below that the cost rises along a line to the whole.
  double tolerance = 0.05, last_tolerance = 0.01;
  double most_drops = 0.95;  // the largest share of tokens that chance leaves out
  SelectiveSizes predictor = {}, selector = {};
  std::int64_t steps = 0;
  double warm_up = 0.3, calibrate = 0.15, select = 0.4;  // shares of the steps; the rest tunes
};

/// The phases of a run, one behind the other:
///   warm-up:   the predictor learns the task from all tokens;
///   calibrate: it learns what to say where tokens are missing, left out at random;
///   select:    it stands still, and the selector learns which tokens it needs. A token costs the
///              less, the more the task suffers, and nothing where it suffers more than is
///              tolerated. So the mask goes as far as it can, and comes back where it goes too far;
///   tune:      the selector stands still as a hard mask, and the predictor learns from what it
///              keeps, and on from what chance leaves out.
/// Because the predictor stands still while the selector learns, the two cannot agree on a code.
enum class SelectivePhase : std::uint8_t { kWarmUp, kCalibrate, kSelect, kTune };

/// When each begins, and what a token costs then.
class SelectivePhases {
 public:
  explicit SelectivePhases(const SelectiveOptions& options) : options_(options) {}

  std::int64_t begin_of(SelectivePhase phase) const;
  SelectivePhase at(std::int64_t step) const;
  /// In nats, for a task that does not suffer.
  double cost_at(std::int64_t step) const;
  double tolerance_at(std::int64_t step) const;

 private:
  // The step behind this share of the phase that selects.
  std::int64_t within_select(double share) const;

  SelectiveOptions options_;
};

}  // namespace maskgrad::apps
