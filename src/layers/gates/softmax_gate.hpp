// Shares of several candidates, which add up to 1.
#pragma once

#include <maskgrad/layers/layer.hpp>

namespace maskgrad {

/// g = softmax(x w) over K candidates, and with mix() y = sum_k g_k v_k of their values. Keeps the
/// mask. x [..., D] -> g [..., K]. Called as a layer it gives g. Parameter: w [D, K],
/// Glorot-uniform, so an x near 0 starts with shares near 1 / K. Jacobs et al. 1991, "Adaptive
/// mixtures of local experts".
///
/// `open` leaves candidates out: bool, broadcasting to [..., K], true for a candidate that takes
/// part. A share of a closed candidate is exactly 0, its value is not read, and no gradient reaches
/// it. Where no candidate is open, all shares are 0, and so is y. On a packed row it has the row's
/// positions, or none. An undefined one closes nothing.
class SoftmaxGate : public Layer {
 public:
  /// `features` is D, `candidates` is K. Throws Error unless both are above 0. A call throws Error
  /// for an x of other features.
  SoftmaxGate(std::int64_t features, std::int64_t candidates);

  /// g for x. Throws Error for an `open` that is not bool or does not broadcast, and as a call.
  Variable weights(const Variable& x, const Tensor& open = {}) const;
  /// y: values [..., K, V] -> [..., V]. The dimensions before K are those of x before D. Throws
  /// Error otherwise, when values carry another mask than x, and as weights(). They need not carry
  /// the mask of x.
  Variable mix(const Variable& x, const Variable& values, Pass& pass,
               const Tensor& open = {}) const;

  /// 3 D K for each position, and 16 K for exponentials, each counted as 16 multiplications.
  std::optional<ops::Work> row_work() const override;

 protected:
  Variable forward(const Variable& x, Pass& pass) override;

 private:
  Variable shares(const Variable& x, const Tensor& open) const;
  void check_values(const Variable& x, const Variable& values) const;

  Parameter& w_;
};

}  // namespace maskgrad
