// What attention has to compute under a mask: for each tile of queries, blocks of pairs.
// Internal to attention.
#pragma once

#include <algorithm>
#include <array>
#include <span>

#include <maskgrad/ops/nn/attention_plan.hpp>
#include <maskgrad/tensor/mask/attention_mask.hpp>

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

/// Cuts the queries of a mask into tiles, and a tile's keys into chunks. Of each chunk it keeps the
/// blocks that hold kept pairs. Strips of queries have blocks of their own where that leaves out
/// more than a fifth of a chunk's pairs: 11 of 16 are computed where a diagonal crosses a chunk.
/// The mask decides where blocks end. Tiles and strips are counted from the first query, chunks
/// from the first key of the sample that is kept. So the keys of other queries change no bit of a
/// query's result where they begin with the same key, as in causal attention. Padding before a
/// sequence changes none either.
/// Immutable; copies share everything. Memory is in proportion to queries where rows are intervals.
class AttentionTiles {
 public:
  static constexpr std::int64_t kQueries = 64;  // of a tile
  static constexpr std::int64_t kKeys = 64;     // of a chunk
  static constexpr std::int64_t kStrip = 16;    // queries; vectors of no machine are longer
  static constexpr std::int64_t kStrips = kQueries / kStrip;
  static constexpr std::int64_t kKeysOfGroup = 8 * kKeys;  // long sums over keys are cut here
  static constexpr std::int64_t kTilesOfGroup = 8;         // and those over queries

  explicit AttentionTiles(const AttentionMask& mask);
  /// Those of a plan, which has kept their body().
  explicit AttentionTiles(const Ref<const RefCounted>& body)
      : body_(static_cast<const Body*>(body.get())) {}
  Ref<const RefCounted> body() const { return Ref<const RefCounted>(body_.get()); }

  /// Tiles of each head.
  std::int64_t per_head() const { return body_->per_head; }
  /// The blocks of a tile, the keys of each query in order, and the queries of each key; b and h
  /// may be anything where the mask has one for all. Each begins at the first query of a strip and
  /// ends behind a query that attends to something; it may reach over several chunks.
  std::span<const PairBlock> blocks(std::int64_t b, std::int64_t h, std::int64_t tile) const;
  /// The first key that any query of sample b keeps, where its chunks begin; 0 when none is kept.
  std::int64_t first_key(std::int64_t b) const {
    return body_->first_keys[body_->batch == 1 ? 0 : static_cast<std::size_t>(b)];
  }
  /// That of each sample of the mask.
  std::span<const std::int64_t> first_keys() const { return body_->first_keys; }
  /// Pairs that lie in blocks, of the mask's own shape: what is computed, whether kept or not.
  std::int64_t pairs() const { return body_->pairs; }

 private:
  struct Body final : RefCounted {
    std::int64_t batch = 0, heads = 0, per_head = 0, pairs = 0;
    PoolVector<PoolVector<PairBlock>> parts;       // of tiles one after another, in any order
    PoolVector<std::span<const PairBlock>> tiles;  // where the blocks of each stand
    PoolVector<std::int64_t> first_keys;           // of each sample
  };

  Ref<const Body> body_;
};

/// The tiles of a plan that has pairs.
AttentionTiles tiles_of(const AttentionPlan& plan);

/// Walks over a tile's blocks chunk by chunk of keys:
///
///   for (ChunkWalk walk(blocks, first_key); walk.next();) add(walk.parts());
class ChunkWalk {
 public:
  /// `first_key`: AttentionTiles::first_key() of the sample.
  ChunkWalk(std::span<const PairBlock> blocks, std::int64_t first_key)
      : blocks_(blocks), first_key_(static_cast<std::int32_t>(first_key)) {}

  /// Goes on to the next chunk with any of the blocks, if there is one.
  bool next() {
    // One block that lies in one chunk is the usual case where sequences are short.
    if (blocks_.size() == 1 && blocks_[0].end <= first_key_ + AttentionTiles::kKeys) {
      parts_ = blocks_;
      return next_++ == 0;
    }
    return next_of_many();
  }
  /// The parts of blocks that lie in the chunk, in the order of their queries.
  std::span<const PairBlock> parts() const { return parts_; }
  /// The group of keys that the chunk is in, never one before those of earlier chunks.
  std::int64_t group() const {
    return (parts_[0].begin - first_key_) / AttentionTiles::kKeysOfGroup;
  }

 private:
  using Blocks = std::array<PairBlock, AttentionTiles::kStrips>;

  bool next_of_many();

  std::span<const PairBlock> blocks_, parts_;
  std::int32_t first_key_;
  std::size_t next_ = 0;         // the first block that begins behind the chunk
  Blocks open_, parts_of_open_;  // blocks that reach into the chunk, and their parts there
  std::size_t size_ = 0;         // of both
  std::int32_t end_ = 0;         // of the chunk
};

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
