// A mask that is learned with the task.
#pragma once

#include <maskgrad/layers/learned_mask/mask_network.hpp>
#include <maskgrad/layers/learned_mask/sampler.hpp>

namespace maskgrad {

/// x without the positions whose logit is at most 0, those of a MaskNetwork: with a mask of the
/// others, in training too. Makes a mask. Layers behind it skip what is left out. x [B, S, D] ->
/// the same. Parameters: those of `network`, a MaskNetwork, which take no gradient from here. Where
/// the rest is trained on, their ParameterGroup should be frozen: weight decay would move them.
class HardMask : public Layer {
 public:
  /// Throws Error as MaskNetwork.
  explicit HardMask(std::int64_t features, const MaskNetworkOptions& options = {});

 protected:
  Variable forward(const Variable& x, Pass& pass) override;

 private:
  MaskNetwork& network_;
};

/// A MaskNetwork scores the positions of x [B, S, D], and a Sampler makes keep values [B, S] of the
/// logits. In training y = x * keep: a value, which carries no mask but that of x, and whose
/// gradient reaches x and the logits. In inference y is x with a mask of the positions whose logit
/// is above 0. Layers behind it skip the others. So two things differ. In training, attention and
/// means over positions still count a dropped token, as a vector of zeros:
/// MultiHeadAttention::attend_kept() does not. In inference, Pass::positions() counts the tokens
/// that are kept. Changes the mask. x [B, S, D] -> the same. Parameters: those of `network`.
class LearnedMask : public Layer {
 public:
  /// Throws Error as MaskNetwork, and without a sampler.
  LearnedMask(std::int64_t features, std::unique_ptr<Sampler> sampler,
              const MaskNetworkOptions& options = {});

  /// A call in training, and what a loss needs of it beside y.
  struct Drawn {
    Variable y;         // [B, S, D]
    Variable logits;    // [B, S]
    KeepSample sample;  // see Sampler
    Variable kept;      // [B, S], for its price, see sparsity_cost.hpp
  };
  /// Throws Error in inference, and as a call.
  Drawn draw(const Variable& x, Pass& pass);

  const Sampler& sampler() const { return *sampler_; }
  /// A HardMask, whose parameters have the names, shapes and values of these.
  std::optional<Hardened> harden() override;

 protected:
  Variable forward(const Variable& x, Pass& pass) override;

 private:
  MaskNetwork& network_;
  std::unique_ptr<Sampler> sampler_;
};

/// x [B, S, ...] times keep [B, S]. Throws Error for other shapes, and for different masks.
Variable times_keep(const Variable& x, const Variable& keep);

}  // namespace maskgrad
