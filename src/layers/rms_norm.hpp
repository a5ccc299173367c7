// Normalisation over features by their root mean square.
#pragma once

#include <maskgrad/layers/layer.hpp>
#include <maskgrad/ops/nn/rms_norm.hpp>

namespace maskgrad {

/// y = x / sqrt(mean(x^2) + eps) * weight over the last dimension. Keeps the mask: each position
/// has a mean of its own. x [..., D] -> [..., D]. Parameter: weight [D], 1. Zhang & Sennrich 2019,
/// "Root mean square layer normalization".
class RMSNorm : public Layer {
 public:
  explicit RMSNorm(std::int64_t features, double eps = 1e-6)
      : Layer("RMSNorm", MaskRule::kKeeps),
        weight_(parameter("weight", {features}, ones())),
        eps_(eps) {}

  /// 9 D for each position: 3 for each feature, and twice that backward.
  std::optional<ops::Work> row_work() const override {
    return ops::Work{.per_position = 9 * weight_.shape().numel()};
  }

 protected:
  Variable forward(const Variable& x, Pass&) override { return ops::rms_norm(x, weight_, eps_); }

 private:
  Parameter& weight_;
  double eps_;
};

}  // namespace maskgrad
