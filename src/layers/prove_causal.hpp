// Can a model's prediction depend on what it is to predict, on another document, or on what stands
// before its document in a batch?
#pragma once

#include <maskgrad/layers/language_model.hpp>
#include <maskgrad/tensor/check/prove_causal.hpp>

namespace maskgrad {

/// Records the model on the tokens, in inference, and proves it as prove_causal() of a tape does.
/// Each sequence is one document, and holes of the tokens' mask belong to none. Tokens that carry a
/// mask are also packed, and the model is proved on their row [1, K] (Pass::on_row()).
///
/// What a model reads of positions comes as constants, which no proof follows. So where the proof
/// holds, the model runs on the last document without the others. Its logits must be the same up to
/// rounding: 1e-9 of the largest for float64, 1e-4 for other dtypes; Inf and NaN exactly. Where
/// they are not, `restart` names the first operation that reads another constant at the same
/// position. This part is a trial with the numbers at hand, once in the batch and once on the row.
///
/// CausalProof::not_tried says what was left out: the row of tokens without a mask, and what the
/// model throws an Error for on a row or on one document.
/// Throws Error when the model does so on the batch, for tokens that are not int32 or int64 [B, S],
/// and as prove_causal() of a tape.
CausalProof prove_causal(const LanguageModel& model, const Variable& tokens);

}  // namespace maskgrad
