// In which order a recurrent operation takes the positions of a batch. Internal to src/ops.
#pragma once

#include <cstdint>
#include <span>

#include <maskgrad/tensor/cpu/pool_allocator.hpp>
#include <maskgrad/tensor/mask/sequence_mask.hpp>
#include <maskgrad/tensor/ref.hpp>

namespace maskgrad::ops {

/// Sequences that are scanned together. Their positions are rows: those of the first step, one for
/// each sequence, then those of the second, and so on.
struct ScanPart {
  std::int64_t first_row = 0;
  std::span<const std::int64_t> sequences;  // numbers in the batch, a longer one before a shorter
  std::span<const std::int64_t> counts;     // of each step: the first counts[t] ones have step t
};

/// All parts together, for who takes a step of all sequences at once. Steps have rows one after
/// another: step t those from begins[t] to begins[t + 1], of the first sequences.
struct ScanSteps {
  PoolVector<std::int64_t> sequences;  // numbers in the batch, a longer one before a shorter
  PoolVector<std::int64_t> begins;     // one more than there are steps
  PoolVector<std::int64_t> rows;       // their numbers in the plan

  std::int64_t count() const { return std::ssize(begins) - 1; }
};

/// The positions of a batch that exist, in the order of a scan: the rows of one part after another.
/// Positions that do not exist have no row, so a step never sees them. Parts are cut by shapes and
/// masks alone, and may be scanned side by side.
class ScanPlan : public RefCounted {
 public:
  /// For values [B, S, ...] with this mask, or with none: all positions exist.
  ScanPlan(const Shape& positions, const SequenceMask& mask, bool reverse, std::int64_t hidden);
  /// For values [1, K, ...]: position k belongs to sequence segments[k], of `sequences`. Requires
  /// that these are numbers of sequences.
  ScanPlan(std::span<const std::int64_t> segments, std::int64_t sequences, bool reverse,
           std::int64_t hidden);

  /// How many rows there are.
  std::int64_t rows() const { return static_cast<std::int64_t>(positions_.size()); }
  std::int64_t sequences() const { return static_cast<std::int64_t>(order_.size()); }
  /// The position, b S + s or k, of a row.
  std::int64_t position(std::int64_t row) const {
    return positions_[static_cast<std::size_t>(row)];
  }
  std::int64_t parts() const { return static_cast<std::int64_t>(bounds_.size()) - 1; }
  ScanPart part(std::int64_t number) const;
  ScanSteps steps() const;

 private:
  using Numbers = PoolVector<std::int64_t>;
  struct Lists;  // the positions of each sequence
  void order_by_length(const Lists& lists);
  void fill(const Lists& lists, std::int64_t hidden, bool reverse);

  struct Bound {
    std::int64_t sequence, step, row;  // the first ones of a part
  };
  Numbers order_;      // of sequences, part by part
  Numbers counts_;     // of the steps of all parts
  Numbers positions_;  // of rows
  PoolVector<Bound> bounds_;
};

}  // namespace maskgrad::ops
