// An update of parameters on a device that no host waits for.
#pragma once

#include <span>

#include <maskgrad/tensor/cuda/kernel_slot.hpp>

namespace maskgrad {

/// What kernels find out about an update, and act by. The host reads it when it has given the
/// device the next step.
struct LateUpdate {
  explicit LateUpdate(Device device) : finite(Tensor::full({2}, 1, DType::kInt32, device)) {}

  /// [2], int32. The first is 0 once something that the update depends on is not finite: a loss, a
  /// gradient, a norm, or anything of an earlier step. From then on no kernel changes parameters,
  /// averages, or what an optimizer remembers. The second is 0 once an update met or made a number
  /// that is not finite.
  Tensor finite;
  /// A scalar, float64, that gradients are scaled by, too. Undefined: 1.
  Tensor scale = {};

  /// Forgets what was found.
  void clear() {
    finite.fill(1);
    scale = {};
  }
};

/// Notes in `finite` whether losses, which are scalars, and gradients are finite, and what the
/// update before found.
inline constinit CudaKernel<void(std::span<const Tensor> losses, const Tensor& gradients,
                                 Tensor& finite)>
    kFindNotFiniteCuda{"find_not_finite"};

}  // namespace maskgrad
