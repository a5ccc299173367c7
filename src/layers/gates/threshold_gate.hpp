// A rectifier whose threshold is learned.
#pragma once

#include <maskgrad/layers/layer.hpp>

namespace maskgrad {

/// y = max(x - theta, 0): an element passes where it is above the threshold of its feature. There
/// dx is g and dtheta is -g. Elsewhere, and at the threshold itself, both are 0. Keeps the mask.
/// x [..., D] -> [..., D]. Parameter: theta [D], 0, so the layer starts as relu. It is the
/// rectifier of Nair & Hinton 2010, "Rectified linear units improve restricted Boltzmann machines",
/// with a bias of each feature, -theta.
class ThresholdGate : public Layer {
 public:
  /// Throws Error unless features is above 0. A call throws Error for an x of other features.
  explicit ThresholdGate(std::int64_t features);

  /// 3 D for each position: one for each feature, and twice that backward.
  std::optional<ops::Work> row_work() const override;

 protected:
  Variable forward(const Variable& x, Pass& pass) override;

 private:
  Parameter& theta_;
};

}  // namespace maskgrad
