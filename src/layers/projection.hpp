// What layers made of several matrices share. Internal to src/layers.
#pragma once

#include <maskgrad/layers/activation.hpp>
#include <maskgrad/layers/module.hpp>
#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/math/linear.hpp>
#include <maskgrad/ops/math/matmul.hpp>

namespace maskgrad {

/// x weight + bias, or x weight without a bias.
inline Variable project(const Variable& x, const Parameter& weight, const Parameter* bias) {
  return bias ? ops::linear(x, weight, *bias) : ops::matmul(x, weight);
}
/// activation(x weight + bias).
inline Variable project(const Variable& x, const Parameter& weight, const Parameter* bias,
                        Activation activation) {
  if (activation == Activation::kRelu && bias) {
    return ops::linear(x, weight, *bias, ops::LinearActivation::kRelu);
  }
  return apply(activation, project(x, weight, bias));
}

/// What attention gives for the queries x, with their mask. A plan between two sequences, or with a
/// cache, does not say which queries exist, and so puts no mask on y.
inline Variable with_mask_of(const Variable& x, const Variable& y) {
  return x.mask().defined() && !y.mask().defined() ? ops::with_mask(y, x.mask()) : y;
}

/// activation(x w + b) * (x v + c), or without biases: Shazeer 2020, "GLU variants improve
/// transformer".
inline Variable gated_linear_unit(const Variable& x, Activation activation, const Parameter& w,
                                  const Parameter* b, const Parameter& v, const Parameter* c) {
  const Variable gate = project(x, w, b, activation);
  return ops::multiply(gate, project(x, v, c));
}

}  // namespace maskgrad
