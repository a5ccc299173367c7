// What happens to gradients between the backward pass and the update.
#pragma once

#include <cstdint>
#include <functional>

#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/tensor/cpu/pool_allocator.hpp>
#include <maskgrad/train/metric.hpp>

namespace maskgrad {

/// The gradients of one step: `scale` times those of the buffer.
struct GradientStep {
  ParameterBuffer& parameters;
  std::int64_t step;            // 0, 1, ...
  double lr;                    // the learning rate of the update
  bool counts;                  // false: the batch counted nothing, and no update will follow
  PoolVector<Metric>& metrics;  // of the step: one that is added must be added in every step
  double scale = 1.0;           // the update applies it, which spares a pass over the gradients
};

/// Changes `scale`, or what ParameterBuffer::gradients() returns. It depends on the step alone and
/// not on those before, or a run that goes on is another than the unbroken one.
/// Throws Diverged where a gradient is not finite; the trainer then says why.
using GradientTransform = std::function<void(GradientStep&)>;

/// Scales gradients down to a norm of at most `most`: see clip_factor(). Reports the norm before as
/// the metric grad_norm. Throws Diverged for a norm that is not finite, and Error
/// "[train] step 12: ..." where the factor is so small that nothing would be left.
GradientTransform clip_norm(double most);

}  // namespace maskgrad
