// A model of a few kernels, for tests of steps; in step_model.cu.
#pragma once

#include <optional>

#include <maskgrad/tensor/cuda/device_step.hpp>

#include "cuda/on_cuda.hpp"

namespace maskgrad::test {

/// Lowers loss = sum over rows of (x w)^2 / 2 by w -= rate * gradient, unless a loss was not finite
/// in this step or one before.
class StepModel {
 public:
  static constexpr std::int64_t kFeatures = 8, kMostSteps = 256;

  struct Step {
    std::int64_t rows = 4;
    double first = 1;  // x[0, 0]; the others follow from it and from `number`
    std::int64_t number = 0;
    // The host looks at the loss before the backward half.
    bool reads_loss = false;
    // Instead of the learning rate that is uploaded.
    std::optional<float> rate_as_argument = {};
  };

  StepModel();
  /// One DeviceStep, or its work alone. Returns the loss where it was read.
  std::optional<double> step(const Step& step);
  std::optional<double> step_without_scope(const Step& step);

  /// [kMostSteps, 2]: the loss of each step and whether one so far was not finite, by its number.
  Tensor history() const { return history_.to(Device{}); }
  Tensor weights() const { return w_.to(Device{}); }
  void forget_what_was_not_finite() { flag_.fill(0); }

 private:
  Tensor w_, flag_, history_;
};

}  // namespace maskgrad::test
