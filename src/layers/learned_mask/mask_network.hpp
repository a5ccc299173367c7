// A number for each position, which says how much it should be kept.
#pragma once

#include <maskgrad/layers/feed_forward.hpp>
#include <maskgrad/layers/layer.hpp>

namespace maskgrad {

struct MaskNetworkOptions {
  std::int64_t hidden = 0;  // F, features between two matrices; 0: there is one matrix
  Activation activation = Activation::kGelu;  // between the two
  /// Logits lie within middle - bound .. middle + bound, so that each decision keeps a chance to be
  /// drawn otherwise; with a bound of 0 anywhere. With a middle above 0 the
  /// least chance to be kept is larger than the least chance to be dropped. So a token that was
  /// dropped by mistake is soon tried again.
  double bound = 8, middle = 0;
  /// The logit that an x of 0 starts with. Above 0 a mask starts open. A task learns little from a
  /// token that is dropped, so it can hardly say that one was dropped by mistake.
  double open = 4;
};

/// logits = middle + u / (1 + |u| / bound), u = activation(x w1 + b1) w2 + b2, or u = x w2 + b2
/// without hidden features. Without a bound they are middle + u. Near a bound the slope falls as
/// 1 / u^2; that of tanh would be 0 in float32, and a logit there could not come back. Keeps the
/// mask. x [B, S, D] -> [B, S]. Parameters: w1 [D, F], w2 [F or D, 1],
/// Glorot-uniform; b1 [F], 0; b2 [1], so that an x of 0 has the logit options.open.
class MaskNetwork : public Layer {
 public:
  /// `features` is D. Throws Error unless features are above 0, hidden and bound at least 0, the
  /// inverse of a bound above 0 is finite, and middle and open are finite, and open is within the
  /// bounds where there are any. A call throws Error for an x of other dimensions.
  explicit MaskNetwork(std::int64_t features, const MaskNetworkOptions& options = {});

  /// 3 D F + 3 F for each position, or 3 D.
  std::optional<ops::Work> row_work() const override;

  const MaskNetworkOptions& options() const { return options_; }
  std::int64_t features() const { return features_; }

 protected:
  Variable forward(const Variable& x, Pass& pass) override;

 private:
  std::int64_t features_;
  MaskNetworkOptions options_;
  Parameter *w1_ = nullptr, *b1_ = nullptr;  // nullptr without hidden features
  Parameter *w2_, *b2_;
};

}  // namespace maskgrad
