// What happens to gradients between the backward pass and the update.
#pragma once

#include <cstdint>
#include <functional>

#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/tensor/cpu/pool_allocator.hpp>
#include <maskgrad/train/model_output.hpp>
#include <maskgrad/train/optim/late_update.hpp>

namespace maskgrad {

/// The gradients of one step: `scale` times those of the buffer.
struct GradientStep {
  ParameterBuffer& parameters;
  std::int64_t step;                 // 0, 1, ...
  double lr;                         // the learning rate of the update
  bool counts;                       // false: the batch counted nothing, and no update will follow
  PoolVector<BatchMetric>& metrics;  // of the model; one that is added must be added in every step
  double scale = 1.0;  // applied by the update, without a further pass over the gradients
  /// Where it is not null, the parameters are on a device, and no other transform follows. Then
  /// this one may leave to a kernel what it decides by numbers of the device, so that the host
  /// waits for nothing: the update scales gradients by late->scale, too.
  LateUpdate* late = nullptr;
};

/// Changes `scale`, or the tensor that ParameterBuffer::gradients() returns. It must depend on this
/// step alone and not on the steps before. Otherwise a run that goes on differs from an unbroken
/// one. It throws Diverged where a gradient is not finite. The trainer then says why.
using GradientTransform = std::function<void(GradientStep&)>;

/// Scales gradients down to a norm of at most `most`, see clip_factor(). The metric grad_norm is
/// the norm before. The transform throws Diverged for a norm that is not finite. It throws Error
/// "[train] step 12: ..." where the factor rounds to 0. For float32 on a device it leaves all of
/// that to GradientStep::late, where it is the last transform.
GradientTransform clip_norm(double most);

}  // namespace maskgrad
