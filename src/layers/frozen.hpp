// Parameters that stand still for a while.
#pragma once

#include <vector>

#include <maskgrad/layers/module.hpp>

namespace maskgrad {

/// While it lives, the parameters of a module are constants: what is recorded gives them no
/// gradient, and passes gradients of values on. Afterwards they take gradients as before. The
/// parameters must have values, and keep their ParameterBuffer meanwhile. A frozen ParameterGroup
/// stands still in a whole run instead.
class Frozen {
 public:
  explicit Frozen(Module& module) {
    for (const auto& [name, parameter] : module.parameters()) {
      held_.push_back({parameter, parameter->variable()});
      parameter->set_variable(Variable(parameter->variable().value()));
    }
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
