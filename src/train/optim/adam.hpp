// Adam (Kingma & Ba 2015), in the two forms that frameworks use.
#pragma once

#include <maskgrad/train/optim/optimizer.hpp>

namespace maskgrad {

/// m += (1 - b1) (g - m),  r = sqrt(r^2 + (1 - b2) (g^2 - r^2)), t = 1, 2, ...
/// kKeras:   w -= lr sqrt(1 - b2^t) / (1 - b1^t) * m / (r + eps)
/// kPyTorch: w -= lr / (1 - b1^t) * m / (r / sqrt(1 - b2^t) + eps)
/// The forms differ in what eps is added to: r, or r with its bias corrected. r is the square root
/// of the paper's v. v overflows for large gradients where r does not. So any finite gradient
/// works, up to the largest number of the dtype.
/// With the weight decay of parameter groups it is AdamW (Loshchilov & Hutter 2019).
/// Sources: keras/optimizers/adam.py (Keras 3), torch.optim.Adam, torch.optim.AdamW.
class Adam final : public Optimizer {
 public:
  enum class Form { kKeras, kPyTorch };
  struct Options {
    double beta1 = 0.9, beta2 = 0.999, eps = 1e-7;
    Form form = Form::kKeras;
  };

  explicit Adam(const ParameterBuffer& parameters) : Adam(parameters, Options{}) {}
  /// Throws Error unless both betas are in [0, 1) and eps is positive, finite and not denormal in
  /// the parameters' dtype.
  Adam(const ParameterBuffer& parameters, Options options);

  std::map<std::string, Tensor> state() override { return {{"m", m_}, {"r", r_}}; }

 private:
  bool update(ParameterBuffer& parameters, const Part& part, double gradient_scale,
              LateUpdate* late) override;

  Options options_;
  Tensor m_, r_;
};

}  // namespace maskgrad
