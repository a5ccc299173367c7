// How good a model is on data that it is not trained on.
#pragma once

#include <maskgrad/train/trainer.hpp>

namespace maskgrad {

/// The loss and then the metrics of `model` over the whole data set, as sums and counts; the size
/// of a batch changes nothing but rounding. Throws Error when there are no samples, when a loss is
/// not finite, and when the model gives other metrics than before.
std::vector<Metric> evaluate(const Model& model, const Dataset& data, std::int64_t batch_size);

}  // namespace maskgrad
