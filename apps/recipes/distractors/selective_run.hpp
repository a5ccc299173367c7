// How a mask is learned beside the model that it is for.
#pragma once

#include <optional>

#include <maskgrad/layers/learned_mask/collapse.hpp>
#include <maskgrad/layers/learned_mask/score_function.hpp>
#include <maskgrad/train/model_output.hpp>

#include "recipes/distractors/answer_likelihood.hpp"
#include "recipes/distractors/sampling.hpp"
#include "recipes/distractors/selective_phases.hpp"

namespace maskgrad::apps {

/// A Predictor, and a Selector that learns which tokens it needs: see SelectivePhases. The loss of
/// the mask is that of the answers, and what tokens cost. Which tokens are junk goes into figures
/// alone.
class SelectiveRun : public Module {
 public:
  explicit SelectiveRun(const SelectiveOptions& options);

  ModelOutput evaluate(const Batch& batch, Pass& pass);
  /// The loss with the hard mask, and that with the soft one, which the selector has a part in.
  ModelOutput evaluate_whole(const Batch& batch, Pass& pass);
  /// The tokens of a batch that the model reads when it is trained.
  SequenceMask mask_of(const Batch& batch);
  /// The answer's logits from the tokens of `mask`.
  Variable answer(const Batch& batch, const SequenceMask& mask, Pass& pass);
  bool has_selector() const { return selector_ != nullptr; }
  /// The step from which the mask is what it stays; 0 where none is learned.
  std::int64_t hard_from() const {
    return has_selector() ? phases_.begin_of(SelectivePhase::kTune) : 0;
  }

  /// The mask before it is hard: the probabilities of the tokens that have a price, and the
  /// answer's logits where each token counts as far as it is kept. Needs a selector.
  struct SoftMask {
    std::vector<double> shares;
    Variable answer;
  };
  SoftMask soft_mask_of(const Batch& batch);

  /// What the mask came to at the end of a run, for learned_mask_rules().
  void observe_end(double undecided, double hardening);
  /// Signs of a mask that collapsed, in the steps of the run and at the end.
  std::vector<std::string> warnings() const { return watch_.findings(); }
  /// See CollapseWatch.
  std::string counts() const { return watch_.counts(); }
  void restore(std::string_view counts) { watch_.restore(counts); }

 private:
  struct Terms;
  void select(const Batch& batch, Pass& pass, Terms& terms);
  void add_answer(const Batch& batch, const KeepSample& sample, Pass& pass, Terms& terms);
  void add_cost(const Batch& batch, const Variable& logits, Terms& terms);
  void predict(const Batch& batch, const SequenceMask& mask, Pass& pass, Terms& terms);
  void learn(const Batch& batch, const SequenceMask& mask, Pass& pass, Terms& terms);
  Variable logits(const Batch& batch, Pass& pass);
  Predictor::Answer soft_answer(const Batch& batch, const Variable& share, Pass& pass);
  double excess(const Batch& batch, Pass& pass);

  SelectiveOptions options_;
  SelectivePhases phases_;
  Sampling sampling_;
  std::unique_ptr<Sampler> sampler_;
  Predictor& predictor_;
  Selector* selector_ = nullptr;
  ScoreFunction score_;
  std::optional<AnswerLikelihood> likelihood_;  // while the predictor stands still
  CollapseWatch watch_;
};

}  // namespace maskgrad::apps
