// Normalisation over features.
#pragma once

#include <maskgrad/layers/layer.hpp>
#include <maskgrad/ops/nn/norm.hpp>

namespace maskgrad {

/// y = (x - mean) / sqrt(var + eps) * weight + bias over the last dimension. Keeps the mask: each
/// position has statistics of its own. x [..., D] -> [..., D]. Parameters: weight [D], 1; bias [D],
/// 0. Ba et al. 2016, "Layer normalization".
class LayerNorm : public Layer {
 public:
  explicit LayerNorm(std::int64_t features, double eps = 1e-5)
      : Layer("LayerNorm", MaskRule::kKeeps),
        weight_(parameter("weight", {features}, ones())),
        bias_(parameter("bias", {features}, zeros())),
        eps_(eps) {}

  /// 9 D for each position: 3 for each feature, and twice that backward.
  std::optional<ops::Work> row_work() const override {
    return ops::Work{.per_position = 9 * weight_.shape().numel()};
  }

 protected:
  Variable forward(const Variable& x, Pass&) override {
    return ops::layer_norm(x, weight_, bias_, eps_);
  }

 private:
  Parameter& weight_;
  Parameter& bias_;
  double eps_;
};

}  // namespace maskgrad
