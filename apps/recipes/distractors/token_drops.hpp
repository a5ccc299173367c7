// Masks of batches of Distractors.
#pragma once

#include <maskgrad/layers/pass.hpp>
#include <maskgrad/train/data/dataset.hpp>

#include "recipes/existing.hpp"

namespace maskgrad::apps {

Variable tokens_with(const Batch& batch, const SequenceMask& mask);

/// Half of the sequences lose a share of their own, up to `most`, and each token is lost by itself.
/// Tokens that ask for the answer stay.
SequenceMask random_drops(const Batch& batch, double most, Pass& pass);

/// Every other sequence as `even` has it, from the first on, and those between as `odd`.
SequenceMask by_turns(const SequenceMask& even, const SequenceMask& odd);

/// For keep values [B, S] of 0 and 1: 1 stays 1, and 0 becomes exp(-16 u), any weight from 1 down
/// to 1e-7, u uniform in [0, 1) for each position of `logits`. The gradient on keep is 16 times the
/// weight. Attention rises so steeply where a weight leaves 0 that its slope there says nothing of
/// what a token is worth. On average over u, a token that is lost gets the gradient f(1) -
/// f(exp(-16)) of a loss f of its weight: what it is worth.
Variable faded(const Variable& keep, const Variable& logits, Pass& pass);

/// The first of `times` parts of a batch, a row at least, each row so many times.
Batch several_of_each(const Batch& batch, std::int64_t times);

}  // namespace maskgrad::apps
