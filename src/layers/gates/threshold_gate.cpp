#include <maskgrad/layers/gates/threshold_gate.hpp>
#include <maskgrad/layers/layer_checks.hpp>
#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/elementwise.hpp>

namespace maskgrad {

ThresholdGate::ThresholdGate(std::int64_t features)
    : Layer("ThresholdGate", MaskRule::kKeeps),
      theta_(parameter("theta", {checked_features("ThresholdGate", features)}, zeros())) {}

std::optional<ops::Work> ThresholdGate::row_work() const {
  return ops::Work{.per_position = 3 * theta_.shape().numel()};
}

Variable ThresholdGate::forward(const Variable& x, Pass&) {
  check_features(kind(), x, theta_.shape()[0]);
  return ops::relu(ops::subtract(x, theta_));
}

}  // namespace maskgrad
