// Random numbers of samplers. Internal to src/layers.
#pragma once

#include <maskgrad/layers/pass.hpp>

namespace maskgrad {

/// log(u / (1 - u)), u uniform in (0, 1), for each position of logits [B, S] that exists, and 0 for
/// the others: the standard logistic distribution. A position takes the number of Pass::random()
/// with the number of its place, so padding, packing and threads change nothing.
Tensor logistic_noise(const Variable& logits, Pass& pass);

}  // namespace maskgrad
