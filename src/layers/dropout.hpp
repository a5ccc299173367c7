// Elements left out at random in training.
#pragma once

#include <maskgrad/layers/layer.hpp>
#include <maskgrad/ops/nn/dropout.hpp>

namespace maskgrad {

/// In training each element is x / (1 - p) with probability 1 - p, else 0. In inference the layer
/// gives x itself. Keeps the mask. x [B, S, ...] -> [B, S, ...]. Srivastava et al. 2014.
/// What is dropped depends on the seed, the layer's path, the step, and the place of the element:
/// its sequence in the batch, its number among the positions that exist, and its feature. So
/// padding, packing and the number of threads change nothing.
/// The constructor throws Error unless 0 <= p < 1.
class Dropout : public Layer {
 public:
  explicit Dropout(double p) : Layer("Dropout", MaskRule::kKeeps), p_(p) {
    check(p >= 0 && p < 1, "Dropout", "p must be at least 0 and below 1, got {}", p);
  }

  /// It multiplies each element twice, which counts as nothing beside matrices.
  std::optional<ops::Work> row_work() const override { return ops::Work{}; }

 protected:
  Variable forward(const Variable& x, Pass& pass) override {
    if (!pass.is_training() || p_ == 0) return x;
    return ops::dropout(x, p_, pass.random(), pass.places(x));
  }

 private:
  double p_;
};

}  // namespace maskgrad
