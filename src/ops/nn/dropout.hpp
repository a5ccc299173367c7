// Elements left out at random in training.
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>
#include <maskgrad/tensor/random.hpp>

namespace maskgrad::ops {

/// y = x / (1 - p) with probability 1 - p, else 0, each element by itself; dx = g / (1 - p) where
/// it was kept, exactly 0 elsewhere. Srivastava et al. 2014, in the inverted form.
/// Element i takes number i of `random`, so the same (seed, stream, step) drops the same elements
/// on every machine and with any number of threads. The mask of x is kept.
/// Throws Error unless 0 <= p < 1.
Variable dropout(const Variable& x, double p, Random random);

}  // namespace maskgrad::ops
