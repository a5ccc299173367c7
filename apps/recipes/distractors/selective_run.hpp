// How a mask is learned beside the model that it is for.
#pragma once

#include <optional>

#include <maskgrad/layers/learned_mask/score_function.hpp>
#include <maskgrad/layers/learned_mask/sparsity_cost.hpp>
#include <maskgrad/train/model_output.hpp>

#include "recipes/distractors/selective_model.hpp"

namespace maskgrad::apps {

/// What becomes of the tokens that a model reads.
struct SelectiveOptions {
  std::string sampler = "gumbel";  // sampler_names(), or "none", or "oracle": junk is left out
  Scorer scorer = Scorer::kContent;
  Price price = Price::kKept;
  double cost = 0.3;  // of a token, in nats
  /// By how many nats an answer's loss may be above that with all tokens, before nothing is paid
  /// for tokens any more. Below that the cost rises along a line to the whole.
  double tolerance = 1.5, last_tolerance = 0.1;
  double most_drops = 0.5;
  SelectiveSizes predictor = {}, selector = {};
  std::int64_t steps = 0;
  double warm_up = 0.3, calibrate = 0.1, select = 0.45;  // shares of the steps; the rest tunes
};

/// The phases of a run, one behind the other:
///   warm-up:   the predictor learns the task from all tokens;
///   calibrate: it learns what to say where tokens are missing, left out at random;
///   select:    it stands still, and the selector learns which tokens it needs. A token costs the
///              less, the more the task suffers, and nothing where it suffers more than is
///              tolerated. That is much at first, so that the mask moves, and next to nothing in
///              the end, so that what is needed ends well above the threshold;
///   tune:      the selector stands still as a hard mask, and the predictor learns from what it
///              keeps.
/// Because the predictor stands still while the selector learns, the two cannot agree on a code.
class SelectiveRun : public Module {
 public:
  enum class Phase : std::uint8_t { kWarmUp, kCalibrate, kSelect, kTune };

  explicit SelectiveRun(const SelectiveOptions& options);

  ModelOutput evaluate(const Batch& batch, Pass& pass);
  /// The tokens of a batch that the model reads when it is trained.
  SequenceMask mask_of(const Batch& batch);
  /// The answer's logits from the tokens of `mask`.
  Variable answer(const Batch& batch, const SequenceMask& mask, Pass& pass);
  Variable logits(const Batch& batch, Pass& pass);

  Phase phase_at(std::int64_t step) const;
  double cost_at(std::int64_t step) const;
  double tolerance_at(std::int64_t step) const;
  bool has_selector() const { return selector_ != nullptr; }
  /// The step from which the mask is what it stays; 0 where none is learned.
  std::int64_t hard_from() const { return has_selector() ? begin_of(Phase::kTune) : 0; }

 private:
  struct Terms;
  void select(const Batch& batch, Pass& pass, Terms& terms);
  void predict(const Batch& batch, const SequenceMask& mask, Pass& pass, Terms& terms);
  double full_loss(const Batch& batch, Pass& pass);
  SequenceMask random_drops(const Batch& batch, Pass& pass) const;
  std::int64_t begin_of(Phase phase) const;
  // The step behind this share of the phase that selects.
  std::int64_t within_select(double share) const;

  SelectiveOptions options_;
  std::unique_ptr<Sampler> sampler_;
  Predictor& predictor_;
  Selector* selector_ = nullptr;
  ScoreFunction score_;
};

}  // namespace maskgrad::apps
