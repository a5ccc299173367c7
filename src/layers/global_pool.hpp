// Sequences -> one vector each.
#pragma once

#include <maskgrad/layers/layer.hpp>
#include <maskgrad/ops/mask/masked_reduce.hpp>

namespace maskgrad {

/// What a GlobalPool makes of the positions of a sequence.
enum class Pooling : std::uint8_t { kMean, kMax };

/// y[b, d] = the mean (or the largest) of x[b, s, d] over the positions s that exist. A sequence
/// without any gives exactly 0. x [B, S, ...] -> [B, ...]. Ends the mask. More padding changes no
/// bit. Throws Error for an x of fewer than two dimensions.
/// (Keras: GlobalAveragePooling1D, GlobalMaxPooling1D.)
class GlobalPool : public Layer {
 public:
  explicit GlobalPool(Pooling pooling = Pooling::kMean)
      : Layer("GlobalPool", MaskRule::kEnds), pooling_(pooling) {}

 protected:
  Variable forward(const Variable& x, Pass&) override {
    check(x.rank() >= 2, "GlobalPool", "needs [B, S, ...], got {}", x.shape());
    return pooling_ == Pooling::kMean ? ops::masked_mean(x, 1) : ops::masked_max(x, 1);
  }

 private:
  Pooling pooling_;
};

}  // namespace maskgrad
