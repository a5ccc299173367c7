// The length of a model's gradient, and how to keep it within bounds.
#pragma once

#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/ops/functors/rule.hpp>
#include <maskgrad/train/optim/late_update.hpp>

namespace maskgrad {

/// sums [chunks], float64: of the squares of `scale` times chunks of 8192 elements of x.
inline constinit CudaKernel<void(const Tensor& x, double scale, Tensor& sums)> kSumSquaresCuda{
    "gradient_norm"};

/// norm = gradient_scale * gradient_norm(), and late.scale = gradient_scale * clip_factor(norm,
/// most). A norm that is not finite and a factor of 0 are noted in late.finite. sums: as of
/// kSumSquaresCuda, which are written to. norm: a scalar, float64.
inline constinit CudaKernel<void(double gradient_scale, double most, Tensor& sums, LateUpdate& late,
                                 Tensor& norm)>
    kClipCuda{"clip_norm"};

/// sqrt(sum of g^2) over the gradients of all parameters. The sum is in double. Its chunks and its
/// order depend on the number of gradients only, so any number of threads gives the same bits.
/// Squares neither overflow nor vanish. The norm is not finite when a gradient is not finite, or
/// when the norm exceeds the largest double. Waits for a device that the gradients are on.
double gradient_norm(ParameterBuffer& parameters);

/// The same for float32 on a device, without waiting for it; see kClipCuda. Returns the norm.
Tensor clip_late(ParameterBuffer& parameters, double gradient_scale, double most, LateUpdate& late);

/// min(1, clip_norm / (norm + 1e-6)): the factor that brings gradients of this norm down to a norm
/// of at most clip_norm. Pass it to Optimizer::step(). Source: torch.nn.utils.clip_grad_norm_.
MASKGRAD_RULE inline double clip_factor(double norm, double clip_norm) {
  const double factor = clip_norm / (norm + 1e-6);
  return factor < 1 ? factor : 1;
}

}  // namespace maskgrad
