// How good a model is on data that it is not trained on.
#pragma once

#include <maskgrad/train/trainer.hpp>

namespace maskgrad {

/// Evaluates `model` on the whole data set, without gradients. Returns the loss, its terms where
/// there are several, and the metrics, as sums and counts. Each term is divided by what it counts
/// in all batches, so the size of a batch changes nothing but rounding. Throws Diverged when a loss
/// is not finite, and when the model throws NotFiniteError. Throws Error when there are no samples,
/// when batch_size is below 1, when nothing in the samples counts for the loss, when the model
/// gives other terms or metrics than for an earlier batch, and as loss_sums().
std::vector<Metric> evaluate(const Model& model, const Dataset& data, std::int64_t batch_size);

}  // namespace maskgrad
