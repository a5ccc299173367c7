// A padded batch as one long row without padding, and back.
#pragma once

#include <string>

#include <maskgrad/tensor/autograd/variable.hpp>
#include <maskgrad/tensor/mask/attention_mask.hpp>

namespace maskgrad::ops {

/// Where the K positions that exist of a batch [B, S] stand in one row: sequence after sequence.
struct Packing {
  SequenceMask mask;  // of the batch
  Tensor segments;    // int64 [1, K]: the number of the sequence, b
  Tensor positions;   // int64 [1, K]: the position within it, s

  /// Every position attends to those of its own sequence: [1, 1, K, K].
  AttentionMask attention() const { return AttentionMask::segments(segments); }
};
/// Throws Error for a mask that says nothing, or has more than 2^31 - 1 positions in a row.
void check_packable(const SequenceMask& mask);
/// Throws Error as check_packable().
Packing packing_of(const SequenceMask& mask);

/// x [B, S, ...] of any dtype -> [1, K, ...]: the positions that exist, one after another. What
/// stands at the others is not read, and they get exactly 0 back. The row carries no mask: all of
/// it exists. Throws Error when x is no batch of these positions, or carries another mask.
Variable pack(const Variable& x, const Packing& packing);

/// The inverse: x [1, K, ...] -> [B, S, ...], with the batch's mask on it and `fill` in the holes.
/// Throws Error for another number of positions, for an x that carries a mask, and when `fill` does
/// not fit x's dtype.
Variable unpack(const Variable& x, const Packing& packing, Scalar fill = 0.0);

/// What a padded batch and its packed row have to compute. Layers that look at one position at a
/// time compute positions. A head of attention computes pairs, more than are kept: a block of up to
/// 64 queries, in whole vectors of 16, reads from the first to the last key that one of them needs.
/// So a row of many short sequences may have more pairs than their padded batch.
struct PackingCost {
  std::int64_t padded_positions = 0, packed_positions = 0;  // B S, and K
  std::int64_t padded_pairs = 0, packed_pairs = 0;
};
/// Depends on the mask alone: vectors of 16 float32 are the longest that there are, and they count
/// on machines with shorter ones too. Throws Error for a mask that says nothing.
PackingCost packing_cost(const SequenceMask& mask);
/// "padded: 2000 positions, 22000 pairs; packed: 1375 (69%), 39264 (178%)"
std::string to_string(const PackingCost& cost);

/// Multiplications of a training step, forward and backward, for each position and each pair.
struct Work {
  std::int64_t per_position = 0, per_pair = 0;

  /// Throws Error when a sum does not fit 64 bits; so do the multiplications of a PackingPlan.
  friend Work operator+(const Work& a, const Work& b);
  friend bool operator==(const Work&, const Work&) = default;
};

/// A batch padded or packed, and why.
struct PackingPlan {
  /// What packing and unpacking themselves take, in multiplications of the same time: some two
  /// microseconds, for which a batch of a few short samples is not worth it.
  static constexpr std::int64_t kPacking = 50'000;

  PackingCost cost;
  Work work;
  bool pack = false;

  /// per_position positions + per_pair pairs, of the batch as it is and of its packed row, for
  /// which kPacking is added.
  std::int64_t padded_multiplications() const;
  std::int64_t packed_multiplications() const;
};
/// Packs where that takes fewer multiplications. The same batch and work give the same plan on
/// every machine. Throws Error for a mask that says nothing.
PackingPlan plan_packing(const SequenceMask& mask, const Work& work);
/// "pads: 2000 positions and 22000 pairs cost 7.1 M multiplications; packed: 1375 positions and
/// 39264 pairs would cost 8.2 M", in one line.
std::string to_string(const PackingPlan& plan);

}  // namespace maskgrad::ops
