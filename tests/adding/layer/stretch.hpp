// Each feature by a factor of its own.
#pragma once

#include <maskgrad/layers/layer.hpp>
#include <maskgrad/ops/math/elementwise.hpp>

namespace maskgrad {

/// y = x weight. Keeps the mask.
/// x [..., F] -> [..., F]. Parameter: weight [F], 1.
class Stretch : public Layer {
 public:
  explicit Stretch(std::int64_t features)
      : Layer("Stretch", MaskRule::kKeeps), weight_(parameter("weight", {features}, ones())) {}

  /// One product for each element, and one for each of its gradients.
  std::optional<ops::Work> row_work() const override {
    return ops::Work{.per_position = 3 * weight_.shape().numel()};
  }

 protected:
  Variable forward(const Variable& x, Pass&) override { return ops::multiply(x, weight_); }

 private:
  Parameter& weight_;
};

}  // namespace maskgrad
