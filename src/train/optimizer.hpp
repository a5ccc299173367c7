// Rules that turn gradients into better parameters.
#pragma once

#include <map>
#include <memory>
#include <string>

#include <maskgrad/layers/parameter_buffer.hpp>

namespace maskgrad {

/// One pass over a model's flat parameters. Whatever it remembers between steps are tensors of
/// their shape, in their dtype.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  /// Changes the parameters by their gradients at learning rate `lr`.
  virtual void step(ParameterBuffer& parameters, double lr) = 0;
  /// What it remembers, by name ("m", "v"): flat tensors of the buffer's size. A checkpoint saves
  /// them and writes into them.
  virtual std::map<std::string, Tensor> state() = 0;
  /// Steps taken; a checkpoint sets it.
  std::int64_t steps() const { return steps_; }
  void set_steps(std::int64_t steps) { steps_ = steps; }

 protected:
  std::int64_t steps_ = 0;
};

}  // namespace maskgrad
