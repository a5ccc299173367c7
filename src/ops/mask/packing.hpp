// A padded batch as one long row without padding, and back.
#pragma once

#include <string>

#include <maskgrad/tensor/autograd/variable.hpp>
#include <maskgrad/tensor/mask/attention_mask.hpp>

namespace maskgrad::ops {

/// The K positions of a batch [B, S] that exist, in one row, sequence after sequence.
struct Packing {
  SequenceMask mask;  // of the batch
  Tensor segments;    // int64 [1, K]: the sequence b that each position belongs to
  Tensor positions;   // int64 [1, K]: its position s within that sequence

  /// Every position attends to those of its own sequence: [1, 1, K, K].
  AttentionMask attention() const { return AttentionMask::segments(segments); }
};
/// Checks that a batch with this mask can be packed. Throws Error for an undefined mask, and for
/// more than 2^31 - 1 positions in a row.
void check_packable(const SequenceMask& mask);
/// The packing of a batch with this mask. Throws Error as check_packable().
Packing packing_of(const SequenceMask& mask);

/// x [B, S, ...] of any dtype -> [1, K, ...]: the positions that exist, one after another. The
/// other positions are not read, and their gradient is exactly 0. The row carries no mask: all of
/// it exists. Throws Error when x does not have the B and S of the packing, or carries another
/// mask.
Variable pack(const Variable& x, const Packing& packing);

/// The inverse: x [1, K, ...] -> [B, S, ...], with the batch's mask on it and `fill` in the holes.
/// Throws Error for another number of positions, for an x that carries a mask, and when `fill` does
/// not fit x's dtype.
Variable unpack(const Variable& x, const Packing& packing, Scalar fill = 0.0);

/// What a padded batch and its packed row have to compute. A layer that looks at one position at a
/// time computes positions. A head of attention computes pairs. It takes blocks of up to 64
/// queries, in whole vectors of 16, and reads the keys from the first to the last that a query of
/// the block needs. So it computes more pairs than the mask keeps, and a row of many short
/// sequences may have more pairs than their padded batch.
struct PackingCost {
  std::int64_t padded_positions = 0, packed_positions = 0;  // B S, and K
  std::int64_t padded_pairs = 0, packed_pairs = 0;
};
/// The cost for a batch with this mask. It depends on the mask alone: vectors of 16 count on every
/// machine, also where vectors are shorter. Throws Error as check_packable().
PackingCost packing_cost(const SequenceMask& mask);
/// For example "padded: 2000 positions, 22000 pairs; packed: 1375 (69%), 39264 (178%)".
std::string to_string(const PackingCost& cost);

/// Multiplications of a training step, forward and backward, for each position and each pair.
struct Work {
  std::int64_t per_position = 0, per_pair = 0;

  /// Throws Error when a sum does not fit 64 bits.
  friend Work operator+(const Work& a, const Work& b);
  friend bool operator==(const Work&, const Work&) = default;
};

/// Whether to pack a batch, and why.
struct PackingPlan {
  /// The cost of packing and unpacking themselves, as the multiplications that take as long. It
  /// keeps batches of a few short samples padded.
  static constexpr std::int64_t kPacking = 50'000;

  PackingCost cost;
  Work work;
  bool pack = false;

  /// per_position * positions + per_pair * pairs, for the padded batch and for its packed row. The
  /// packed row adds kPacking. Both throw Error when the number does not fit 64 bits.
  std::int64_t padded_multiplications() const;
  std::int64_t packed_multiplications() const;
};
/// Packs when that takes fewer multiplications. The same mask and work give the same plan on every
/// machine. Throws Error as check_packable(), and as the multiplications of the plan.
PackingPlan plan_packing(const SequenceMask& mask, const Work& work);
/// One line, for example "pads: 2000 positions and 22000 pairs cost 7.1 M multiplications; packed:
/// 1375 positions and 39264 pairs would cost 8.2 M".
std::string to_string(const PackingPlan& plan);

}  // namespace maskgrad::ops
