// FeedForward whose hidden features have gates, so that some can be cut off.
#pragma once

#include <maskgrad/layers/activation.hpp>
#include <maskgrad/layers/layer.hpp>

namespace maskgrad {

struct PrunableFeedForwardOptions {
  Activation activation = Activation::kGelu;
  /// What a starts as. At 2 a feature starts 0.88 open.
  double start = 2;
  /// s = 1 where a > 0, else 0, in the place of sigmoid(a), and with its gradient: see
  /// ops::straight_through(). A closed feature can open again either way.
  bool hard = false;
};

/// y = (s * activation(x w1 + b1)) w2 + b2, s = sigmoid(a): a gate for each hidden feature, which
/// does not depend on x. harden() leaves out the features with a at most 0. Keeps the mask. x [...,
/// D] -> [..., D]. Parameters: w1 [D, F], w2 [F, D], Glorot-uniform; b1 [F], b2 [D], 0; gates [F],
/// a, options.start. Louizos et al. 2018, "Learning sparse neural networks through L0
/// regularization", prune hidden features by gates that are drawn.
class PrunableFeedForward : public Layer {
 public:
  /// `features` is D, `hidden` is F. Throws Error unless both are above 0, and for a start that is
  /// not finite. A call throws Error for an x of other features.
  PrunableFeedForward(std::int64_t features, std::int64_t hidden,
                      const PrunableFeedForwardOptions& options = {});

  /// The sum of sigmoid(a_f), a number. Times a price it is a term of the loss that closes
  /// features.
  Variable open_features() const;
  /// A FeedForward of the features with a above 0: what this layer gives with hard gates, up to
  /// rounding. Throws Error when all are closed, when one is NaN, and as Layer::harden().
  std::optional<Hardened> harden() override;

  /// 6 D F for each position, as FeedForward.
  std::optional<ops::Work> row_work() const override;

 protected:
  Variable forward(const Variable& x, Pass& pass) override;

 private:
  Activation activation_;
  bool hard_;
  Parameter *w1_, *b1_, *w2_, *b2_, *gates_;
};

}  // namespace maskgrad
