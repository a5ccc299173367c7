// How good a model is on data that it is not trained on.
#pragma once

#include <maskgrad/train/trainer.hpp>

namespace maskgrad {

/// The loss, its terms where there are several, and the metrics of `model` over the whole data set,
/// as sums and counts. Each term is divided by what it counts in all batches, so the size of a
/// batch changes nothing but rounding. Throws Diverged when a loss is not finite; Error when there
/// are no samples, when nothing in them counts for the loss, and when the model gives other terms
/// or metrics than before.
std::vector<Metric> evaluate(const Model& model, const Dataset& data, std::int64_t batch_size);

}  // namespace maskgrad
