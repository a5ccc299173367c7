// Adam (Kingma & Ba 2015), in the two forms that frameworks use.
#pragma once

#include <maskgrad/train/optimizer.hpp>

namespace maskgrad {

/// m += (1 - b1) (g - m),  v += (1 - b2) (g^2 - v), t = 1, 2, ...
/// kKeras:   w -= lr sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + eps)
/// kPyTorch: w -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)
/// They differ in what eps is compared with. Sources: keras/optimizers/adam.py (Keras 3),
/// torch.optim.Adam.
class Adam final : public Optimizer {
 public:
  enum class Form { kKeras, kPyTorch };
  struct Options {
    double beta1 = 0.9, beta2 = 0.999, eps = 1e-7;
    Form form = Form::kKeras;
  };

  explicit Adam(const ParameterBuffer& parameters) : Adam(parameters, Options{}) {}
  Adam(const ParameterBuffer& parameters, Options options);

  std::map<std::string, Tensor> state() override { return {{"m", m_}, {"v", v_}}; }

 private:
  void update(ParameterBuffer& parameters, double lr, double gradient_scale) override;

  Options options_;
  Tensor m_, v_;
};

}  // namespace maskgrad
