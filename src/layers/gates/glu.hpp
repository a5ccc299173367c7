// A matrix product, gated by another.
#pragma once

#include <maskgrad/layers/activation.hpp>
#include <maskgrad/layers/layer.hpp>

namespace maskgrad {

struct GluOptions {
  /// kSigmoid is GLU, kRelu ReGLU, kGelu GEGLU, kSilu SwiGLU.
  Activation activation = Activation::kSigmoid;
  bool bias = true;
};

/// y = activation(x w + b) * (x v + c), a gated linear unit. Keeps the mask. x [..., I] -> [...,
/// O]. Parameters: w, v [I, O], Glorot-uniform; b, c [O], 0, with options.bias. Dauphin et al.
/// 2017, "Language modeling with gated convolutional networks"; Shazeer 2020, "GLU variants improve
/// transformer". FeedForward with `gated` is this with a matrix behind it.
class Glu : public Layer {
 public:
  /// `inputs` is I, `outputs` is O. Throws Error unless both are above 0. A call throws Error for
  /// an x of other features.
  Glu(std::int64_t inputs, std::int64_t outputs, const GluOptions& options = {});

  /// 6 I O for each position: two products and their gradients.
  std::optional<ops::Work> row_work() const override;

 protected:
  Variable forward(const Variable& x, Pass& pass) override;

 private:
  Activation activation_;
  Parameter *w_, *b_, *v_, *c_;  // b and c nullptr where there are none
};

}  // namespace maskgrad
