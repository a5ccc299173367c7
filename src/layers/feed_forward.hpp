// Two matrices and a nonlinear function between them, for each position.
#pragma once

#include <maskgrad/layers/activation.hpp>
#include <maskgrad/layers/layer.hpp>

namespace maskgrad {

struct FeedForwardOptions {
  Activation activation = Activation::kGelu;
  /// A gate: (activation(x w1) * (x v)) w2, as GEGLU and SwiGLU do (Shazeer 2020, "GLU variants
  /// improve transformer").
  bool gated = false;
  bool bias = true;
  Initializer output = glorot_uniform();  // of w2
};

/// y = activation(x w1 + b1) w2 + b2, or (activation(x w1 + b1) * (x v + c)) w2 + b2 when gated.
/// Keeps the mask. x [..., D] -> [..., D]. Parameters: w1, v [D, F], Glorot-uniform; w2 [F, D];
/// b1, c [F] and b2 [D], 0, with options.bias. Vaswani et al. 2017, section 3.3.
class FeedForward : public Layer {
 public:
  /// `features` is D, `hidden` is F. Throws Error unless both are above 0.
  FeedForward(std::int64_t features, std::int64_t hidden, const FeedForwardOptions& options = {});

  /// 3 D F for each matrix and position: the product and its two gradients.
  std::optional<ops::Work> row_work() const override;

 protected:
  Variable forward(const Variable& x, Pass& pass) override;

 private:
  Activation activation_;
  Parameter *w1_, *b1_, *v_ = nullptr, *c_ = nullptr, *w2_, *b2_;  // nullptr where there is none
};

}  // namespace maskgrad
