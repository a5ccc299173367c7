// The entropy of counts and other weights.
#pragma once

#include <span>

namespace maskgrad {

/// -sum p log p in nats, where p are the weights divided by their sum, and 0 log 0 = 0; 0 where all
/// are 0. NaN gives NaN.
double entropy_of(std::span<const double> weights);

}  // namespace maskgrad
