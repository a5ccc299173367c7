// Recurrent networks over the positions of a batch that exist: LSTM and GRU.
#pragma once

#include <maskgrad/tensor/autograd/variable.hpp>

namespace maskgrad::ops {

struct RecurrentOptions {
  /// From the last position of each sequence to the first.
  bool reverse = false;
  /// For a packed row [1, K, ...]: int64 [1, K], the sequence that each position belongs to, of
  /// `sequences` (Packing::segments). Undefined: the batch is padded.
  Tensor segments = {};
  std::int64_t sequences = 0;
};

/// The state of an LSTM between two steps: h and c, [B, H] each. Undefined: 0.
struct LstmState {
  Variable h, c;
};
struct LstmOutput {
  Variable output;  // h at each position
  LstmState last;   // after the last position of each sequence
};
/// A long short-term memory. With h and c of the position before, at each position
///   i, f, o = sigmoid, g = tanh  of the parts i, f, g, o of  gates + h w_h
///   c' = f c + i g,  h' = o tanh(c')
/// gates [B, S, 4 H], what the input gives: x w_x + b; w_h [H, 4 H]; states [B, H] -> h' at each
/// position, [B, S, H], and the state after the last one. Positions that the mask of the gates
/// leaves out carry the state on unchanged and are not read: the output is 0 there, and carries the
/// mask. So a sequence without positions ends with the state that it begins with. On a packed row
/// [1, K, 4 H] the output is [1, K, H], and the states have a row for each sequence.
/// The same bits for any padding, any holes, any number of threads, and on a packed row; those of a
/// sequence do not depend on the others.
/// Throws Error for other shapes or dtypes, for one state without the other, for a mask on another
/// input than the gates, for a segment that is not 0 .. sequences-1, and for segments and a mask.
/// Hochreiter & Schmidhuber 1997, "Long short-term memory", with the forget gate of Gers et al.
/// 2000. (PyTorch: nn.LSTM, the same gates in the same order.)
LstmOutput lstm(const Variable& gates, const Variable& w_h, const LstmState& start = {},
                const RecurrentOptions& options = {});

struct GruOutput {
  Variable output;  // h at each position
  Variable last;    // [B, H]: h after the last position of each sequence
};
/// A gated recurrent unit, whose reset gate acts after the product. With h of the position before
/// and the parts r, z, n of gates and of  s = h w_h + b_h,  at each position
///   r = sigmoid(gates_r + s_r),  z = sigmoid(gates_z + s_z),  n = tanh(gates_n + r s_n)
///   h' = (1 - z) n + z h
/// gates [B, S, 3 H], w_h [H, 3 H], b_h [3 H], start [B, H] or undefined: 0. Otherwise as lstm(),
/// with its errors.
/// Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder", who reset before
/// the product. (PyTorch: nn.GRU; Keras: GRU with reset_after.)
GruOutput gru(const Variable& gates, const Variable& w_h, const Variable& b_h,
              const Variable& start = {}, const RecurrentOptions& options = {});

}  // namespace maskgrad::ops
