// Several layers of which each sample takes one, or a mixture.
#pragma once

#include <memory>
#include <vector>

#include <maskgrad/layers/layer.hpp>
#include <maskgrad/layers/task_gate/choice.hpp>

namespace maskgrad {

/// How the outputs of experts are put together: by their shares, or that of the largest share
/// alone. In training the largest share counts as 1, with the gradient that the shares would have
/// (straight-through; Bengio et al. 2013, "Estimating or propagating gradients through stochastic
/// neurons").
enum class Mixing : std::uint8_t { kSoft, kBest };

using Experts = std::vector<std::unique_ptr<Layer>>;

/// Base of layers that share samples out among C experts:
///
///   const Choice choice = gate.choose(x, pass);
///   const Variable y = gate.mix(choice, v, pass);       // sum_c shares_c expert_c(v)
///   const Variable balance = mutual_information(choice);
///
/// x [B, S, D] is what the choice reads; v [B, ...] is what the experts read. Both may be one
/// value: a call of the layer is mix(choose(x), x), to the bit. The experts are layers whose
/// outputs have one shape [B, ...] and one mask. A sample without positions in x has no choice, and
/// its y is 0. Where a share is NaN, y is. What becomes of masks is a matter of the experts. Jacobs
/// et al. 1991, "Adaptive mixtures of local experts".
///
/// A call runs all experts on all samples. In inference Mixing::kBest runs each expert on its own
/// samples only, with the result of running all; but it runs all where the pass has pairs of its
/// own.
class ExpertMixture : public Layer {
 public:
  /// The shares of the experts, the softmax of scores / temperature, and the best. Throws Error for
  /// an x of other dimensions, unless the temperature and its inverse are finite and above 0, and
  /// on a packed row.
  Choice choose(const Variable& x, Pass& pass, double temperature = 1);
  /// y for samples of this choice, put together as the layer was told, or as `mixing` says. Throws
  /// Error for another number of samples, for a best that is no expert, for outputs of several
  /// shapes, and on a packed row.
  Variable mix(const Choice& choice, const Variable& v, Pass& pass) {
    return mix(choice, v, pass, mixing_);
  }
  Variable mix(const Choice& choice, const Variable& v, Pass& pass, Mixing mixing);

  std::size_t size() const { return experts_.size(); }
  /// Throws Error for a number that is not below size().
  Layer& expert(std::size_t number) const;

 protected:
  /// The parameters of the experts get names "expert0.…", "expert1.…". Throws Error for no experts
  /// and for one that is no layer.
  ExpertMixture(std::string kind, std::int64_t features, Experts experts, Mixing mixing);

  Variable forward(const Variable& x, Pass& pass) override;
  /// The shares for x [B, S, D] -> [B, C], and 0 for samples that `exists` [B, 1] leaves out.
  virtual Variable shares(const Variable& x, const Tensor& exists, double temperature,
                          Pass& pass) = 0;
  std::int64_t features() const { return features_; }

 private:
  // What choose() and mix() give, within the scope of the layer.
  Choice chosen(const Variable& x, Pass& pass, double temperature);
  Variable mixed(const Choice& choice, const Variable& v, Pass& pass, Mixing mixing) const;
  PoolVector<Variable> all(const Variable& v, Pass& pass) const;
  Variable soft(const Variable& weights, const PoolVector<Variable>& outputs) const;
  Variable best(const Choice& choice, const Variable& v, Pass& pass) const;
  Variable each_its_own(const Tensor& best, const Variable& v, Pass& pass) const;

  std::int64_t features_;
  Mixing mixing_;
  std::vector<Layer*> experts_;
};

}  // namespace maskgrad
