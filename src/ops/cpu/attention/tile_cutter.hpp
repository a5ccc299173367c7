// Cuts one tile of queries after another into blocks. Internal to attention and its plans.
#pragma once

#include <array>
#include <limits>
#include <utility>

#include <maskgrad/ops/cpu/attention/tiles.hpp>

namespace maskgrad::ops {

/// Gathers the kept pairs of a tile, strip by strip of queries and chunk by chunk of keys.
class TileCutter {
 public:
  explicit TileCutter(std::int64_t keys)
      : chunks_(static_cast<std::size_t>((keys + kKeys - 1) / kKeys)) {}

  /// From now on chunks are counted from this key. No earlier key is added.
  void start(std::int64_t first_key) { first_key_ = first_key; }
  /// Queries [first, last) of the tile, counted from its first, attend to keys [lo, hi). Queries
  /// come in order.
  void add(std::int64_t first, std::int64_t last, std::int64_t lo, std::int64_t hi);
  /// Appends the blocks of the tile whose first query is `tile`, and forgets it. Returns how many
  /// pairs they have.
  std::int64_t cut(std::int64_t tile, PoolVector<PairBlock>& blocks);

 private:
  static constexpr std::int64_t kQueries = AttentionTiles::kQueries, kKeys = AttentionTiles::kKeys,
                                kStrip = AttentionTiles::kStrip;

  // The least block around the kept pairs of some strips. `pairs_apart`: the pairs in the least
  // blocks around those of each.
  struct Part {
    std::int64_t begin = std::numeric_limits<std::int64_t>::max(), end = 0, first = 0, last = 0;
    std::int64_t kept = 0, pairs_apart = 0;

    std::int64_t pairs() const { return (end - begin) * (last - first); }
    // Whether that would leave out more than a fifth.
    bool should_be_apart() const { return 5 * (pairs() - pairs_apart) > pairs(); }
    // That of both, `next` being a later strip.
    Part with(const Part& next) const {
      return {std::min(begin, next.begin),
              std::max(end, next.end),
              first,
              next.last,
              kept + next.kept,
              pairs_apart + next.pairs_apart};
    }
  };
  using Chunk = std::array<Part, AttentionTiles::kStrips>;

  // Puts a part into a block at `from` or behind; returns the place behind that block.
  std::size_t append(const Part& part, std::int64_t tile, std::size_t from,
                     PoolVector<PairBlock>& blocks) const;

  PoolVector<Chunk> chunks_;
  std::int64_t first_key_ = 0;
  std::int64_t first_chunk_ = std::numeric_limits<std::int64_t>::max(), last_chunk_ = 0;
  std::int64_t last_query_ = 0;  // one past it
};

}  // namespace maskgrad::ops
