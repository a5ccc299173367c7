// A gated recurrent unit over a sequence.
#pragma once

#include <span>
#include <vector>

#include <maskgrad/layers/layer.hpp>
#include <maskgrad/ops/nn/recurrent.hpp>

namespace maskgrad {

struct GruOptions {
  /// One above another: each reads the output of the one below.
  std::int64_t layers = 1;
  /// A second network in each layer reads from the last position to the first. Their outputs stand
  /// side by side, 2 F features.
  bool bidirectional = false;
};

/// h from one position to the next, from h = 0 on: with the three parts r, z, n of u = x w_x + b_x
/// and of v = h w_h + b_h,
///   r = sigmoid(u_r + v_r),  z = sigmoid(u_z + v_z),  h' = (1 - z) tanh(u_n + r v_n) + z h
/// Uses the mask. x [B, S, D] -> h' at each position: [B, S, F], or [B, S, 2 F] if bidirectional.
/// A position that does not exist carries h on unchanged; the output is 0 there.
/// Parameters of layer 1: w_x1 [D, 3 F], w_h1 [F, 3 F], b_x1 and b_h1 [3 F], uniform in
/// [-1 / sqrt(F), 1 / sqrt(F)) as in PyTorch; if bidirectional w_x1_reverse, w_h1_reverse,
/// b_x1_reverse and b_h1_reverse besides. Then those of layer 2, and so on.
/// Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder", who apply r to h
/// before the product. (PyTorch: nn.GRU; Keras: GRU with reset_after.)
class Gru : public Layer {
 public:
  /// `features` is D, `hidden` is F. Throws Error unless these and the layers are above 0. A call
  /// throws Error for another x than [B, S, D], and where the pass reads on from a cache of keys
  /// and values (Pass::reading()), which holds no states.
  Gru(std::int64_t features, std::int64_t hidden, const GruOptions& options = {});

  /// The output with h after the last step, [B, F] each: of layer 1, forward and then backward, of
  /// layer 2, ...
  struct Result {
    Variable output;
    PoolVector<Variable> last;
  };
  /// The same from other states than 0, in that order. Throws Error for another number of states or
  /// another shape, and as a call.
  Result run(const Variable& x, std::span<const Variable> start, Pass& pass) const;

  /// 3 times the elements of all matrices, for each position.
  std::optional<ops::Work> row_work() const override;

 protected:
  Variable forward(const Variable& x, Pass& pass) override;

 private:
  struct Direction {
    Parameter *w_x, *w_h, *b_x, *b_h;
  };

  Variable through(const Variable& x, std::span<const Variable> start, const Pass& pass,
                   PoolVector<Variable>& last) const;

  std::int64_t features_;
  std::size_t per_layer_;  // directions
  std::vector<Direction> directions_;
};

}  // namespace maskgrad
