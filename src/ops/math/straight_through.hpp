// A hard decision that a gradient goes through.
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

/// y = 1 where logits > 0, else 0, with the gradient of sigmoid: dlogits = g s (1 - s), s =
/// sigmoid(logits). It is no slope of y, which has none, but says which way a decision leans. NaN
/// gives NaN. logits of any shape, floating -> the same. Keeps the mask. Bengio et al. 2013,
/// "Estimating or propagating gradients through stochastic neurons for conditional computation".
Variable straight_through(const Variable& logits);

}  // namespace maskgrad::ops
