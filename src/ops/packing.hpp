// A padded batch as one long row without padding, and back.
#pragma once

#include <string>

#include <maskgrad/tensor/attention_mask.hpp>
#include <maskgrad/tensor/variable.hpp>

namespace maskgrad::ops {

/// Where the K positions that exist of a batch [B, S] stand in one row: sequence after sequence.
struct Packing {
  SequenceMask mask;  // of the batch
  Tensor segments;    // int64 [1, K]: the number of the sequence, b
  Tensor positions;   // int64 [1, K]: the position within it, s

  /// Every position attends to those of its own sequence: [1, 1, K, K].
  AttentionMask attention() const { return AttentionMask::segments(segments); }
};
/// Throws Error for a mask that says nothing.
Packing packing_of(const SequenceMask& mask);

/// x [B, S, ...] of any dtype -> [1, K, ...]: the positions that exist, one after another. What
/// stands at the others is not read, and they get exactly 0 back. The row carries no mask: all of
/// it exists. Throws Error when x is no batch of these positions, or carries another mask.
Variable pack(const Variable& x, const Packing& packing);

/// The inverse: x [1, K, ...] -> [B, S, ...], with the batch's mask on it and `fill` in the holes.
Variable unpack(const Variable& x, const Packing& packing, double fill = 0.0);

/// What a layer that looks at each position, and one that looks at pairs, has to do either way.
struct PackingCost {
  std::int64_t padded_positions = 0, packed_positions = 0;  // B S, and K
  std::int64_t padded_pairs = 0, packed_pairs = 0;          // B S^2, and the sum of squared lengths
};
PackingCost packing_cost(const SequenceMask& mask);
/// "padded: 80 positions, 1600 pairs; packed: 55 (69%), 780 (49%)"
std::string to_string(const PackingCost& cost);

}  // namespace maskgrad::ops
