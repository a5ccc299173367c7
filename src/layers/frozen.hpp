// Parameters that take no gradient for a while.
#pragma once

#include <vector>

#include <maskgrad/layers/module.hpp>

namespace maskgrad {

/// While it lives, the parameters of a module are constants: what is recorded gives them no
/// gradient, and passes gradients of values on. Afterwards they take gradients as before. The
/// parameters must have values, and keep their ParameterBuffer meanwhile. Throws Error where one
/// has none; then nothing has changed. Their gradients are 0, not absent: an optimizer that steps
/// meanwhile still moves them by its momentum and its weight decay. A ParameterGroup that is frozen
/// stands still.
class Frozen {
 public:
  explicit Frozen(Module& module) {
    for (const auto& [name, parameter] : module.parameters()) {
      held_.push_back({parameter, parameter->variable()});
    }
    for (auto& [parameter, variable] : held_) parameter->set_variable(Variable(variable.value()));
  }
  ~Frozen() {
    for (auto& [parameter, variable] : held_) parameter->set_variable(std::move(variable));
  }
  Frozen(const Frozen&) = delete;
  Frozen& operator=(const Frozen&) = delete;

 private:
  struct Held {
    Parameter* parameter;
    Variable variable;
  };
  std::vector<Held> held_;
};

}  // namespace maskgrad
