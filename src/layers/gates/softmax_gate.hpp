// Shares of several candidates, which add up to 1.
#pragma once

#include <maskgrad/layers/layer.hpp>

namespace maskgrad {

/// g = softmax(x w) over C candidates, and with mix() y = sum_c g_c v_c of their values. Keeps the
/// mask. x [..., D] -> g [..., C]. Called as a layer it gives g. Parameter: w [D, C],
/// Glorot-uniform, so an x near 0 starts with shares near 1 / C. Jacobs et al. 1991, "Adaptive
/// mixtures of local experts".
///
/// `open` leaves candidates out: bool, broadcasting to [..., C], true for a candidate that takes
/// part. A share of a closed candidate is exactly 0, its value is not read, and no gradient reaches
/// it. Where no candidate is open, all shares are 0, and so is y. On a packed row, `open` has the
/// row's positions or broadcasts over them. Without `open`, all candidates are open.
class SoftmaxGate : public Layer {
 public:
  /// `features` is D, `candidates` is C. Throws Error unless both are above 0. A call throws Error
  /// for an x of other features.
  SoftmaxGate(std::int64_t features, std::int64_t candidates);

  /// g for x. Throws Error for an `open` that is not bool or does not broadcast, and as a call.
  Variable shares(const Variable& x, const Tensor& open = {}) const;
  /// y: values [..., C, O] -> [..., O]. The dimensions before C are those of x before D. The values
  /// carry the mask of x, or none. Throws Error otherwise, and as shares().
  Variable mix(const Variable& x, const Variable& values, Pass& pass,
               const Tensor& open = {}) const;

  /// 3 D C for each position: the product and its two gradients.
  std::optional<ops::Work> row_work() const override;

 protected:
  Variable forward(const Variable& x, Pass& pass) override;

 private:
  Variable computed(const Variable& x, const Tensor& open) const;
  void check_values(const Variable& x, const Variable& values) const;

  Parameter& w_;
};

}  // namespace maskgrad
