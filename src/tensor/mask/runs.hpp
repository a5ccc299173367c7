// Runs of kept keys: what one row of an attention mask is made of.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>

#include <maskgrad/tensor/cpu/pool_allocator.hpp>

namespace maskgrad {

/// The keys lo <= j < hi. The empty interval is lo = hi = 0.
struct KeyInterval {
  std::int32_t lo = 0, hi = 0;

  bool empty() const { return lo == hi; }
  friend bool operator==(const KeyInterval& a, const KeyInterval& b) {
    return std::bit_cast<std::int64_t>(a) == std::bit_cast<std::int64_t>(b);  // in one comparison
  }
};

/// Intervals that are not empty, sorted, neither overlapping nor touching: a set of keys has one
/// list of runs.
using Runs = PoolVector<KeyInterval>;
using RunsView = std::span<const KeyInterval>;

/// The first place in row[from..keys) that holds `value`, or `keys` when there is none. Compares
/// eight places at a time.
inline std::int32_t find_bit(const bool* row, bool value, std::int32_t from, std::int32_t keys) {
  constexpr std::uint64_t kOnes = 0x0101010101010101;
  for (; keys - from >= 8; from += 8) {
    std::uint64_t bits;
    std::memcpy(&bits, row + from, 8);
    if (!value) bits ^= kOnes;
    if (bits == 0) continue;
    const int place = std::endian::native == std::endian::little ? std::countr_zero(bits)
                                                                 : std::countl_zero(bits);
    return from + place / 8;
  }
  while (from < keys && row[from] != value) ++from;
  return from;
}

/// The first run in row[from..keys), or an empty interval when there is none.
inline KeyInterval next_run(const bool* row, std::int32_t from, std::int32_t keys) {
  const std::int32_t lo = find_bit(row, true, from, keys);
  return lo < keys ? KeyInterval{lo, find_bit(row, false, lo, keys)} : KeyInterval{};
}

/// These functions replace the contents of `out`, which must not be one of the inputs.
/// The runs of row[0..keys).
void find_runs(const bool* row, std::int32_t keys, Runs& out);
/// Keys in both.
void intersect_runs(RunsView a, RunsView b, Runs& out);
/// Keys in either.
void unite_runs(RunsView a, RunsView b, Runs& out);
/// Keys of 0..keys-1 that are not in `a`.
void complement_runs(RunsView a, std::int32_t keys, Runs& out);

/// For each position of a sequence, the runs of the positions that have the same id.
class SegmentRuns {
 public:
  /// Throws Error for a negative size, or one above 2^31 - 1.
  explicit SegmentRuns(std::int64_t size);

  /// Reads `size` ids. Positions with a negative id have no runs, and are in no run.
  void read(const std::int64_t* ids);
  /// Valid until the next read().
  RunsView operator[](std::int64_t s) const {
    const Part part = of_position_[static_cast<std::size_t>(s)];
    return RunsView(runs_).subspan(part.first, part.count);
  }

 private:
  struct Segment {
    std::int64_t id;
    KeyInterval keys;
  };
  // Some of runs_, by number: a copy has its own.
  struct Part {
    std::uint32_t first = 0, count = 0;
  };

  void find_segments(const std::int64_t* ids);

  PoolVector<Segment> segments_;  // neighbours of one id, by id, then by position
  Runs runs_;                     // their keys
  PoolVector<Part> of_position_;
};

}  // namespace maskgrad
