// The kernels of losses and metrics. Internal to src/ops.
#pragma once

#include <span>

#include <maskgrad/tensor/autograd/gradient_kernels.hpp>
#include <maskgrad/tensor/cuda/kernel_slot.hpp>
#include <maskgrad/tensor/mask/sequence_mask.hpp>

namespace maskgrad::ops {

/// sum = that of Rule(x, t) over the elements that count, in double and sample by sample.
template <class Rule>
inline constinit CudaKernel<void(const Tensor& x, const Tensor& target, const SequenceMask& mask,
                                 Tensor& sum)>
    kLossSumCuda{"loss"};

/// Writes to `fit` whether all targets that count are in 0 .. 1, for which the host waits.
inline constinit CudaKernel<void(const Tensor& targets, const SequenceMask& mask, bool& fit)>
    kTargetsFitCuda{"bce_with_logits"};

/// softmax: that of the rows of logits [..., V] that count. sum = that of their losses, in double
/// and sample by sample. targets: of each row; below 0: it does not count, and is not read.
inline constinit CudaKernel<void(const Tensor& logits, std::span<const std::int64_t> targets,
                                 double smoothing, Tensor& softmax, Tensor& sum)>
    kCrossEntropyCuda{"cross_entropy"};

/// What the distribution that a row is compared with gives to its target and to another class.
struct ClassShares {
  double smoothing, target, other;
};
/// dlogits = g (softmax - share), 0 in rows that do not count. g is one number.
inline constinit CudaKernel<void(const Tensor& softmax, std::span<const std::int64_t> targets,
                                 const ClassShares& shares, const Tensor& g, Tensor& dlogits)>
    kCrossEntropyGradientCuda{"cross_entropy"};

/// hits, an int64: of how many runs of `length` rows each that counts has the largest logit at its
/// target. Runs of which no row counts are none.
inline constinit CudaKernel<void(const Tensor& logits, std::span<const std::int64_t> targets,
                                 std::int64_t length, Tensor& hits)>
    kHitsCuda{"accuracy"};

/// How many samples a value has that are summed by themselves, so that what pads them changes no
/// order: entries of the first dimension, where there are others than `inner` behind it.
inline std::int64_t samples_of(const Tensor& x, int inner = 0) {
  return x.rank() > 1 + inner ? x.dim(0) : 1;
}

/// sum = that of the terms, float64 on a device: of each sample, and of these sums, in the order of
/// sum_terms().
inline void sum_by_samples(const char* name, const Tensor& terms, std::int64_t samples,
                           Tensor& sum) {
  const std::int64_t each = samples ? terms.numel() / samples : 0;
  const Tensor sums = sum_to(name, terms.reshape({samples, each}), {samples, 1});
  sum.copy_from(sum_to(name, sums.reshape({samples}), {}).to(sum.dtype()));
}

}  // namespace maskgrad::ops
