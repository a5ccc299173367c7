// What attention has to compute under a mask: for each tile of queries, the ranges of keys.
// Internal to attention.
#pragma once

#include <span>

#include <maskgrad/tensor/attention_mask.hpp>

namespace maskgrad::ops {

/// Keys that at least one query of a tile attends to; of a full range every query of the tile
/// attends to all of them, so that nothing need be masked.
struct KeyRange {
  std::int32_t begin, end;
  bool full;

  friend bool operator==(const KeyRange&, const KeyRange&) = default;
};

/// Cuts the queries of a mask into tiles, and the keys of each tile into ranges: sorted, without
/// what is empty. Where ranges end depends on the mask, where chunks of keys end does not: a kernel
/// takes a range in chunks that end at multiples of kKeys, so what other queries attend to changes
/// no bit of a query's result. Immutable; copies share everything. Takes memory in proportion to
/// queries where rows are intervals.
class AttentionTiles {
 public:
  static constexpr std::int64_t kQueries = 64;  // of a tile
  static constexpr std::int64_t kKeys = 64;     // of a chunk

  explicit AttentionTiles(const AttentionMask& mask);

  /// Tiles of each head.
  std::int64_t per_head() const { return body_->per_head; }
  /// The ranges of a tile; b and h may be anything where the mask has one for all.
  std::span<const KeyRange> ranges(std::int64_t b, std::int64_t h, std::int64_t tile) const;
  /// Pairs that lie in ranges, of the mask's own shape: what is computed, whether kept or not.
  std::int64_t pairs() const { return body_->pairs; }

 private:
  struct Body final : RefCounted {
    std::int64_t batch = 0, heads = 0, per_head = 0, pairs = 0;
    PoolVector<KeyRange> ranges;
    PoolVector<std::size_t> first;  // of each tile, and one past the last
  };

  Ref<const Body> body_;
};

/// Some keys [begin, end) of one chunk.
struct KeyChunk {
  std::int64_t begin, end;
  bool full;  // nothing to mask

  std::int64_t size() const { return end - begin; }
};

/// Calls f(KeyChunk) for the chunks of a range.
template <class F>
void for_each_chunk(const KeyRange& range, F&& f) {
  for (std::int64_t begin = range.begin, end; begin < range.end; begin = end) {
    end = (begin / AttentionTiles::kKeys + 1) * AttentionTiles::kKeys;
    if (end > range.end) end = range.end;
    f(KeyChunk{begin, end, range.full});
  }
}

/// Queries [first, first + count) of head (b, h), side by side in `columns` lanes.
struct QueryTile {
  std::int64_t b, h, first, count, columns;
};

}  // namespace maskgrad::ops
