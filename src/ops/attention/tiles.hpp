// What attention has to compute under a mask: for each tile of queries, blocks of pairs.
// Internal to attention.
#pragma once

#include <algorithm>
#include <span>

#include <maskgrad/tensor/attention_mask.hpp>

namespace maskgrad::ops {

/// Pairs that are computed together: keys [begin, end) with queries [first, last). Of a full block
/// every query attends to every key, and it ends with a strip or with its tile's last query, so
/// that nothing need be masked.
struct PairBlock {
  std::int32_t begin, end, first, last;
  bool full;

  std::int64_t keys() const { return end - begin; }
  std::int64_t queries() const { return last - first; }
  friend bool operator==(const PairBlock&, const PairBlock&) = default;
};

/// Cuts the queries of a mask into tiles, a tile's keys into chunks, and keeps of each chunk the
/// blocks that hold its kept pairs. Within a chunk strips of queries have blocks of their own where
/// that leaves out more than a fifth of the pairs: of the chunk that a diagonal crosses, 11 of 16
/// are computed. Where blocks end depends on the mask, where tiles, chunks and strips do not: what
/// other queries attend to changes no bit of a query's result. Immutable; copies share everything.
/// Takes memory in proportion to queries where rows are intervals.
class AttentionTiles {
 public:
  static constexpr std::int64_t kQueries = 64;  // of a tile
  static constexpr std::int64_t kKeys = 64;     // of a chunk
  static constexpr std::int64_t kStrip = 16;    // queries; vectors of no machine are longer

  explicit AttentionTiles(const AttentionMask& mask);

  /// Tiles of each head.
  std::int64_t per_head() const { return body_->per_head; }
  /// The blocks of a tile, the keys of each query in order, and the queries of each key; b and h
  /// may be anything where the mask has one for all. Each begins at the first query of a strip and
  /// ends behind a query that attends to something; it may reach over several chunks.
  std::span<const PairBlock> blocks(std::int64_t b, std::int64_t h, std::int64_t tile) const;
  /// Pairs that lie in blocks, of the mask's own shape: what is computed, whether kept or not.
  std::int64_t pairs() const { return body_->pairs; }

 private:
  struct Body final : RefCounted {
    std::int64_t batch = 0, heads = 0, per_head = 0, pairs = 0;
    PoolVector<PoolVector<PairBlock>> parts;       // of tiles one after another, in any order
    PoolVector<std::span<const PairBlock>> tiles;  // where the blocks of each stand
  };

  Ref<const Body> body_;
};

/// Calls f(PairBlock) for the parts of a block that lie in one chunk each.
template <class F>
void for_each_chunk(const PairBlock& block, F&& f) {
  constexpr auto kKeys = static_cast<std::int32_t>(AttentionTiles::kKeys);
  for (PairBlock part = block; part.begin < block.end; part.begin = part.end) {
    part.end = std::min((part.begin / kKeys + 1) * kKeys, block.end);
    f(part);
  }
}

/// Some queries of head (b, h), from the first on that has pairs to the last.
struct QueryTile {
  std::int64_t b, h, first, last;

  std::int64_t count() const { return last - first; }
};

/// Those of a tile with these blocks.
inline QueryTile queries_of(std::int64_t b, std::int64_t h, std::span<const PairBlock> blocks) {
  if (blocks.empty()) return {b, h, 0, 0};
  QueryTile tile = {b, h, blocks[0].first, blocks[0].last};
  for (const PairBlock& block : blocks) {
    tile.first = std::min<std::int64_t>(tile.first, block.first);
    tile.last = std::max<std::int64_t>(tile.last, block.last);
  }
  return tile;
}

}  // namespace maskgrad::ops
