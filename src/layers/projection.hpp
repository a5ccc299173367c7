// What layers made of several matrices share. Internal to src/layers.
#pragma once

#include <maskgrad/layers/module.hpp>
#include <maskgrad/ops/math/linear.hpp>
#include <maskgrad/ops/math/matmul.hpp>

namespace maskgrad {

/// x weight + bias, or x weight without a bias.
inline Variable project(const Variable& x, const Parameter& weight, const Parameter* bias) {
  return bias ? ops::linear(x, weight, *bias) : ops::matmul(x, weight);
}

}  // namespace maskgrad
