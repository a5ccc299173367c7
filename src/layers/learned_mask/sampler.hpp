// From a number for each position to whether it is kept: while a mask is learned, and afterwards.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <maskgrad/layers/learned_mask/ramp.hpp>
#include <maskgrad/layers/pass.hpp>

namespace maskgrad {

/// What a sampler makes of logits [B, S] in training. All carry the mask of the logits and no mask
/// of the sampler's: a gate is a value, and its gradient can open it again.
struct KeepSample {
  Variable keep;             // [B, S], from 0 to 1, and NaN where a logit is
  Variable log_probability;  // [B, S] of what was drawn; undefined where keep has a gradient
};

/// Base of samplers. l stands for a logit, s(l) for sigmoid(l), n for a number drawn from the
/// logistic distribution: log(u / (1 - u)), u uniform in (0, 1). Each position draws its own, by
/// Pass::random(), so padding, packing, the batch around it and the number of threads change
/// nothing. A place of a sequence in the batch is drawn anew in each step.
class Sampler {
 public:
  virtual ~Sampler() = default;

  /// "soft", "straight-through", "gumbel", "hard-concrete", "reinforce".
  virtual const char* name() const = 0;
  /// Throws Error unless logits are [B, S], or [1, K] on a packed row, and in inference where it
  /// draws.
  virtual KeepSample sample(const Variable& logits, Pass& pass) const = 0;
  /// The share of each position that a price is put on, [B, S], in closed form: how likely it is
  /// kept. Its gradient reaches the logits. Throws Error as sample().
  virtual Variable kept(const Variable& logits) const;

 protected:
  /// Throws Error "[name] ..." unless logits are [B, S].
  static void check_logits(const char* name, const Variable& logits);
};

/// The decision when nothing is drawn any more: the positions of logits [B, S] that exist and whose
/// logit is above 0. There a sampler keeps more than half, where its noise is 0. (The kept() of
/// HardConcrete counts whatever is not set to 0, and is 1/2 at a logit of -1.6.) A mask stands on
/// the host, which waits for logits that are on a device. Throws Error unless logits are [B, S],
/// and NotFiniteError where one that exists is NaN.
SequenceMask decide(const Variable& logits);

/// keep = s(l), and so is kept().
class SoftGate : public Sampler {
 public:
  const char* name() const override { return "soft"; }
  KeepSample sample(const Variable& logits, Pass& pass) const override;
};

/// keep = 1 where l > 0, else 0, with the gradient of s(l): ops::straight_through(). kept() is the
/// same, and nothing is drawn. Where `draws` says so, keep = 1 with probability s(l), else 0, with
/// the same gradient, and kept() is s(l). Without draws a mask never tries what two tokens are
/// worth together, once it has dropped both. Bengio et al. 2013, "Estimating or propagating
/// gradients through stochastic neurons for conditional computation", where neurons draw.
class StraightThrough : public Sampler {
 public:
  explicit StraightThrough(bool draws = false) : draws_(draws) {}
  const char* name() const override { return "straight-through"; }
  KeepSample sample(const Variable& logits, Pass& pass) const override;
  Variable kept(const Variable& logits) const override;

 private:
  bool draws_;
};

/// keep = s((l + n) / tau), a relaxed sample whose gradient is its own slope. The lower the
/// temperature tau, the closer to 0 or 1, and the more the gradient varies. kept() is s(l), the
/// probability of a keep above 1/2. Maddison et al. 2017, "The concrete distribution"; Jang et al.
/// 2017.
class GumbelSigmoid : public Sampler {
 public:
  /// Throws Error unless all temperatures are above 0, and their inverses finite.
  explicit GumbelSigmoid(const Ramp& temperature = Ramp::fixed(0.5));
  const char* name() const override { return "gumbel"; }
  KeepSample sample(const Variable& logits, Pass& pass) const override;

 private:
  Ramp temperature_;
};

/// keep = min(1, max(0, s((l + n) / beta) (high - low) + low)): exactly 0 or 1 with a probability
/// above 0. kept() is the probability that keep is not 0, s(l - beta log(-low / high)). Louizos et
/// al. 2018, "Learning sparse neural networks through L0 regularization".
class HardConcrete : public Sampler {
 public:
  struct Options {
    double beta = 2.0 / 3;
    double low = -0.1, high = 1.1;
  };
  HardConcrete() : HardConcrete(Options{}) {}
  /// Throws Error unless beta > 0, low < 0 and high > 1, all finite, and 1 / beta, too.
  explicit HardConcrete(const Options& options);
  const char* name() const override { return "hard-concrete"; }
  KeepSample sample(const Variable& logits, Pass& pass) const override;
  Variable kept(const Variable& logits) const override;

 private:
  Options options_;
};

/// keep = 1 with probability s(l), else 0, without a gradient. log_probability is
/// log s(l) or log s(-l) of what was drawn. A ScoreFunction makes a gradient of it. kept() is s(l).
/// Williams 1992, "Simple statistical gradient-following algorithms".
class Reinforce : public Sampler {
 public:
  const char* name() const override { return "reinforce"; }
  KeepSample sample(const Variable& logits, Pass& pass) const override;
};

/// The names of all samplers.
std::vector<std::string> sampler_names();
/// The sampler of this name, with this temperature where it has one. Throws Error for any other
/// name, and as the sampler.
std::unique_ptr<Sampler> make_sampler(std::string_view name,
                                      const Ramp& temperature = Ramp::fixed(0.5));

}  // namespace maskgrad
