// A layer that a value may go around, as far as a gate says.
#pragma once

#include <maskgrad/layers/activation.hpp>
#include <maskgrad/layers/layer.hpp>

namespace maskgrad {

struct HighwayOptions {
  Activation activation = Activation::kTanh;
  double bias = -1;  // what b starts as; below 0, so that at first most of x goes around
};

/// y = t * h + (1 - t) * x, t = sigmoid(x w + b), h = activation(x v + c). Keeps the mask.
/// x [..., D] -> [..., D]. Parameters: w, v [D, D], Glorot-uniform; b [D], options.bias; c [D], 0.
/// Srivastava et al. 2015, "Highway networks".
class Highway : public Layer {
 public:
  /// `features` is D. Throws Error for features below 1, and for a bias that is not finite. A call
  /// throws Error for an x of other features.
  explicit Highway(std::int64_t features, const HighwayOptions& options = {});

  /// 6 D^2 for each position: two products and their gradients.
  std::optional<ops::Work> row_work() const override;

 protected:
  Variable forward(const Variable& x, Pass& pass) override;

 private:
  Activation activation_;
  Parameter &w_, &b_, &v_, &c_;
};

}  // namespace maskgrad
