// Running a layer in a test: its leaves, and all that one forward and backward pass gives.
#pragma once

#include <vector>

#include <maskgrad/layers/layer.hpp>
#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/gradient_check.hpp"
#include "support/masks.hpp"
#include "support/tensors.hpp"

namespace maskgrad::test {

/// Copies of what a pass gave.
struct PassResults {
  Variable output;
  Tensor input_grad;  // undefined for an input that takes none
  Tensor gradients;   // of all parameters, flat
};

/// layer(x), then backward from grad_output, whose shape is that of the output.
inline PassResults run_pass(Layer& layer, ParameterBuffer& parameters, Variable x,
                            const Tensor& grad_output) {
  parameters.clear_gradients();
  if (x.requires_grad()) x.clear_grad();
  Tape tape;
  const Variable y = layer(x);
  tape.backward(y, grad_output);
  return {y, x.requires_grad() ? x.grad() : Tensor(), parameters.gradients().clone()};
}

}  // namespace maskgrad::test
