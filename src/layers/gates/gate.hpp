// How far a value passes, computed from an input.
#pragma once

#include <maskgrad/layers/activation.hpp>
#include <maskgrad/layers/layer.hpp>

namespace maskgrad {

struct GateOptions {
  /// kSigmoid opens from 0 to 1; kTanh goes from -1 to 1, so the gate can also turn a sign.
  Activation activation = Activation::kSigmoid;
  /// A gate for each feature, w [D, D], instead of one for the position, w [D, 1].
  bool each_feature = false;
  /// What b starts as: with kSigmoid a number above 0 starts the gate more open than closed.
  double bias = 0;
};

/// y = g * v, g = activation(x w + b): an input x says how far a value v passes. Keeps the mask.
/// x [..., D], v [..., O] -> [..., O]. Called as a layer it gates its own input, v = x. Parameters:
/// w [D, 1] or [D, D], Glorot-uniform; b [1] or [D], options.bias. The gates of Hochreiter &
/// Schmidhuber 1997, "Long short-term memory", are such.
///
/// g is a value and no mask: a position whose gate is 0 exists, and its gradient can open the gate
/// again.
class Gate : public Layer {
 public:
  /// `features` is D. Throws Error for features below 1, for another activation than kSigmoid and
  /// kTanh, and for a bias that is not finite. A call throws Error for an x of other features.
  explicit Gate(std::int64_t features, const GateOptions& options = {});

  /// g for x: [..., 1], or [..., D] with each_feature. Keeps the mask.
  Variable opening(const Variable& x) const;
  /// g * v. The dimensions of x and v before the last are the same. With each_feature O is D. v
  /// carries the mask of x, or none. Throws Error otherwise, and as a call.
  Variable gate(const Variable& x, const Variable& v, Pass& pass) const;

  /// 3 D or 3 D^2 for each position: the product and its two gradients.
  std::optional<ops::Work> row_work() const override;

 protected:
  Variable forward(const Variable& x, Pass& pass) override;

 private:
  Variable computed(const Variable& x) const;
  void check_value(const Variable& x, const Variable& v) const;

  Activation activation_;
  Parameter& w_;
  Parameter& b_;
};

}  // namespace maskgrad
