// A matrix product, a bias and an activation.
#pragma once

#include <maskgrad/layers/layer.hpp>
#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/linear.hpp>

namespace maskgrad {

/// y = activation(x weight + bias). Keeps the mask.
/// x [..., I] -> [..., O]. Parameters: weight [I, O], Glorot-uniform; bias [O], 0.
class Dense : public Layer {
 public:
  using Activation = Variable (*)(const Variable&);

  /// Without an activation the layer is linear.
  Dense(std::int64_t inputs, std::int64_t outputs, Activation activation = nullptr)
      : Layer("Dense", MaskRule::kKeeps),
        weight_(parameter("weight", {inputs, outputs}, glorot_uniform())),
        bias_(parameter("bias", {outputs}, zeros())),
        activation_(activation) {}

  /// 3 I O for each position: I O each for the product and its two gradients.
  std::optional<ops::Work> row_work() const override {
    return ops::Work{.per_position = 3 * weight_.shape().numel()};
  }

 protected:
  Variable forward(const Variable& x, Pass&) override {
    if (activation_ == ops::relu) {
      return ops::linear(x, weight_, bias_, ops::LinearActivation::kRelu);
    }
    const Variable y = ops::linear(x, weight_, bias_);
    return activation_ ? activation_(y) : y;
  }

 private:
  Parameter& weight_;
  Parameter& bias_;
  Activation activation_;
};

}  // namespace maskgrad
