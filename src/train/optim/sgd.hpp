// Stochastic gradient descent with momentum.
#pragma once

#include <maskgrad/train/optim/optimizer.hpp>

namespace maskgrad {

/// u = momentum * u + g,  w -= lr * u  (Sutskever et al. 2013; torch.optim.SGD without dampening).
class Sgd final : public Optimizer {
 public:
  /// Throws Error unless momentum is finite and at least 0.
  explicit Sgd(const ParameterBuffer& parameters, double momentum = 0.0);

  std::map<std::string, Tensor> state() override { return {{"u", u_}}; }

 private:
  bool update(ParameterBuffer& parameters, const Part& part, double gradient_scale,
              LateUpdate* late) override;

  double momentum_;
  Tensor u_;
};

}  // namespace maskgrad
