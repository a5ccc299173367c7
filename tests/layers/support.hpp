// Layers in tests: their parameters, and all that one forward and backward pass gives.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <maskgrad/layers/layer.hpp>
#include <maskgrad/layers/parameter_buffer.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/gradient_check.hpp"
#include "support/masks.hpp"
#include "support/tensors.hpp"

namespace maskgrad::test {

/// The parameters of a module in their order, each as "w (5, 3)".
inline std::vector<std::string> names_and_shapes(Module& module) {
  std::vector<std::string> names;
  for (const NamedParameter& p : module.parameters()) {
    names.push_back(fmt::format("{} {}", p.name, p.parameter->shape()));
  }
  return names;
}

/// Draws every parameter anew, uniform in [-size, size). A layer's starting values may be all 0.
inline void redraw(ParameterBuffer& parameters, Random& random, double size = 1) {
  for (const auto& [name, view] : parameters.named_values()) {
    Tensor target = view;
    target.copy_from(uniform(random, view.shape(), -size, size).to(view.dtype()));
  }
}

/// A layer made of `args`, and parameters for it, drawn anew.
template <class L>
struct Drawn {
  template <class... Args>
  Drawn(Random& random, DType dtype, Args&&... args)
      : layer(std::forward<Args>(args)...), parameters(layer, dtype, /*seed=*/1) {
    redraw(parameters, random);
  }
  template <class... Args>
  explicit Drawn(DType dtype, Args&&... args)
      : layer(std::forward<Args>(args)...), parameters(layer, dtype, /*seed=*/1) {
    Random random(2);
    redraw(parameters, random);
  }
  /// A view of a parameter.
  Tensor value(const std::string& name) const { return parameters.named_values().at(name); }

  L layer;
  ParameterBuffer parameters;
};

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
