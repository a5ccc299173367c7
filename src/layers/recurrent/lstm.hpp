// A long short-term memory over a sequence.
#pragma once

#include <span>
#include <vector>

#include <maskgrad/layers/layer.hpp>
#include <maskgrad/ops/nn/recurrent.hpp>

namespace maskgrad {

struct LstmOptions {
  /// One above another: each reads the output of the one below.
  std::int64_t layers = 1;
  /// A second network in each layer reads from the last position to the first. Their outputs stand
  /// side by side, 2 F features.
  bool bidirectional = false;
  /// What is added to the start of the bias of the forget gates. Above 0 a state is kept at first
  /// (Gers et al. 2000; Jozefowicz et al. 2015, who take 1, as Keras does).
  double forget_bias = 1;
};

/// h and c from one position to the next, from h = c = 0 on: with the four parts i, f, g, o of
/// x w_x + h w_h + b,
///   c' = sigmoid(f) c + sigmoid(i) tanh(g),  h' = sigmoid(o) tanh(c')
/// Uses the mask. x [B, S, D] -> h' at each position: [B, S, F], or [B, S, 2 F] if bidirectional.
/// A position that does not exist carries h and c on unchanged; the output is 0 there.
/// Parameters of layer 1: w_x1 [D, 4 F], w_h1 [F, 4 F], b1 [4 F], uniform in
/// [-1 / sqrt(F), 1 / sqrt(F)) as in PyTorch, options.forget_bias on top; if bidirectional
/// w_x1_reverse, w_h1_reverse and b1_reverse besides. Then those of layer 2, and so on.
/// Hochreiter & Schmidhuber 1997, "Long short-term memory", with the forget gate of Gers et al.
/// 2000. (PyTorch: nn.LSTM, the sum of whose two biases is b here.)
class Lstm : public Layer {
 public:
  /// `features` is D, `hidden` is F. Throws Error unless these and the layers are above 0, and for
  /// a forget_bias that is not finite. A call throws Error for another x than [B, S, D], and where
  /// the pass reads on from a cache of keys and values (Pass::reading()), which holds no states.
  Lstm(std::int64_t features, std::int64_t hidden, const LstmOptions& options = {});

  /// The output with the states after the last step, [B, F] each: those of layer 1, forward and
  /// then backward, of layer 2, ...
  struct Result {
    Variable output;
    PoolVector<ops::LstmState> last;
  };
  /// The same from other states than 0, in that order. Throws Error for another number of states or
  /// another shape, and as a call.
  Result run(const Variable& x, std::span<const ops::LstmState> start, Pass& pass) const;

  /// 3 times the elements of all matrices, for each position.
  std::optional<ops::Work> row_work() const override;

 protected:
  Variable forward(const Variable& x, Pass& pass) override;

 private:
  struct Direction {
    Parameter *w_x, *w_h, *b;
  };

  Variable through(const Variable& x, std::span<const ops::LstmState> start, const Pass& pass,
                   PoolVector<ops::LstmState>& last) const;

  std::int64_t features_;
  std::size_t per_layer_;  // directions
  std::vector<Direction> directions_;
};

}  // namespace maskgrad
