// Matrices and functions in a row, with gates behind some of them.
#pragma once

#include <vector>

#include <maskgrad/layers/gates/gate.hpp>

namespace maskgrad {

/// What goes around the layers of a GatedFeedForward.
enum class Shortcut : std::uint8_t {
  kNone,
  kResidual,  // x is added to the result: y = x + h_n. Needs F = D
  kSkip,      // h_(i-1) is added to each gate_i(a_i), or a_i, of as many features
};

struct GatedFeedForwardOptions {
  Activation activation = Activation::kTanh;
  /// One entry for each layer: whether a gate follows it. Here two layers and a gate behind them.
  std::vector<bool> gates = {false, true};
  /// Of all gates.
  GateOptions gate = {};
  Shortcut shortcut = Shortcut::kNone;
};

/// h_0 = x. a_i = activation(h_(i-1) w_i + b_i). h_i = gate_i(a_i) where layer i has a Gate, else
/// a_i. y = h_n. So with the options as they are h_1 = tanh(x w1 + b1), a_2 = tanh(h_1 w2 + b2),
/// y = a_2 * sigmoid(a_2 w + b). Keeps the mask.
/// x [..., D] -> [..., F]. Parameters: w1 [D, F], w2, w3, ... [F, F], Glorot-uniform; b1, b2, ...
/// [F], 0; and gate1, gate2, ... where there are such, each a Gate with w [F, 1] or [F, F].
/// Its parts: Hochreiter & Schmidhuber 1997 (gates), He et al. 2016 (shortcuts).
class GatedFeedForward : public Layer {
 public:
  /// `features` is D, `hidden` is F. Throws Error unless both are above 0, when there is no layer,
  /// when F is not D with kResidual, and as Gate where there is one. A call throws Error for an x
  /// of other features.
  GatedFeedForward(std::int64_t features, std::int64_t hidden,
                   const GatedFeedForwardOptions& options = {});

  /// 3 D F or 3 F^2 for each matrix and position, and what each Gate says.
  std::optional<ops::Work> row_work() const override;

 protected:
  Variable forward(const Variable& x, Pass& pass) override;

 private:
  struct Step {
    Parameter *w, *b;
    Gate* gate;  // nullptr where there is none
  };
  Variable through(const Step& step, const Variable& x, Pass& pass) const;

  Activation activation_;
  Shortcut shortcut_;
  std::vector<Step> steps_;
};

}  // namespace maskgrad
