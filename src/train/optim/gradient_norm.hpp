// The length of a model's gradient, and how to keep it within bounds.
#pragma once

#include <maskgrad/layers/parameter_buffer.hpp>

namespace maskgrad {

/// sqrt(sum of g^2) over the gradients of all parameters. It is added up in double, in chunks and
/// in an order that depend on their number only: the same bits on any number of threads. Squares
/// neither overflow nor vanish. The norm is not finite when a gradient is not, or when the norm
/// itself exceeds what a double holds.
double gradient_norm(ParameterBuffer& parameters);

/// min(1, clip_norm / (norm + 1e-6)): what to scale gradients of that norm with, for
/// Optimizer::step, so that their norm is at most clip_norm (torch.nn.utils.clip_grad_norm_).
double clip_factor(double norm, double clip_norm);

}  // namespace maskgrad
