// How probable a model holds an answer, when it may have misread a problem.
#pragma once

#include <vector>

#include "recipes/distractors/selective_model.hpp"

namespace maskgrad::apps {

/// Sums over all that may have been read. What a model makes of probabilities between 0 and 1 is
/// anyone's guess: where a sign is missing, its tables may take it for a plus. A mask that may
/// choose would leave out every plus, and a token that is missing would tell what it was. Here it
/// tells nothing: an answer that hangs on a sign that was not read is right half of the time.
class AnswerLikelihood {
 public:
  /// Asks the predictor, whose weights have this dtype and are on this device, for the answer to
  /// each of the 3,888 readings there are. What it learns later changes nothing here.
  AnswerLikelihood(const Predictor& predictor, DType dtype, Device device = {});

  /// -log(1e-6 + sum over readings r of p(r) p(answer | r)) for each row. p(r) is the product of
  /// the probabilities of its 7 tokens. logits of what was read [B, 7, V], targets [B, 3] -> [B].
  Variable losses(const Variable& reading, const Tensor& targets) const;

 private:
  // Of the targets, if the reading is r: [B, R].
  Tensor of_each_reading(const Tensor& targets, DType dtype) const;

  std::int64_t readings_;
  std::vector<double> probability_;  // [3, V, R]
};

}  // namespace maskgrad::apps
