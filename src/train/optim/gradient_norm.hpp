// The length of a model's gradient, and how to keep it within bounds.
#pragma once

#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/tensor/cuda/kernel_slot.hpp>

namespace maskgrad {

/// sums [chunks], float64: of the squares of `scale` times chunks of 8192 elements of x.
inline constinit CudaKernel<void(const Tensor& x, double scale, Tensor& sums)> kSumSquaresCuda{
    "gradient_norm"};

/// sqrt(sum of g^2) over the gradients of all parameters. The sum is in double. Its chunks and its
/// order depend on the number of gradients only, so any number of threads gives the same bits.
/// Squares neither overflow nor vanish. The norm is not finite when a gradient is not finite, or
/// when the norm exceeds the largest double. Waits for a device that the gradients are on.
double gradient_norm(ParameterBuffer& parameters);

/// min(1, clip_norm / (norm + 1e-6)): the factor that brings gradients of this norm down to a norm
/// of at most clip_norm. Pass it to Optimizer::step(). Source: torch.nn.utils.clip_grad_norm_.
double clip_factor(double norm, double clip_norm);

}  // namespace maskgrad
