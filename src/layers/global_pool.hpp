// Sequences -> one vector each.
#pragma once

#include <maskgrad/layers/layer.hpp>
#include <maskgrad/ops/mask/masked_reduce.hpp>

namespace maskgrad {

/// What a GlobalPool makes of the positions of a sequence.
enum class Pooling : std::uint8_t { kMean, kMax };

/// y[b, d] = mean (or largest) over the positions that exist of x[b, s, d]; exactly 0 for a
/// sequence without any. x [B, S, ...] -> [B, ...]. Ends the mask; padding further changes no bit.
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
