#include <maskgrad/ops/cpu/attention/tile_cutter.hpp>

namespace maskgrad::ops {

void TileCutter::add(std::int64_t first, std::int64_t last, std::int64_t lo, std::int64_t hi) {
  const std::int64_t first_chunk = (lo - first_key_) / kKeys;
  first_chunk_ = std::min(first_chunk_, first_chunk);
  last_chunk_ = std::max(last_chunk_, (hi - first_key_ + kKeys - 1) / kKeys);
  last_query_ = last;
  for (std::int64_t c = first_chunk, key = first_key_ + c * kKeys; key < hi; ++c, key += kKeys) {
    const std::int64_t begin = std::max(lo, key), end = std::min(hi, key + kKeys);
    Chunk& chunk = chunks_[static_cast<std::size_t>(c)];
    for (std::int64_t s = first, next; s < last; s = next) {
      const std::int64_t strip = s / kStrip;
      next = std::min(last, (strip + 1) * kStrip);
      Part& part = chunk[static_cast<std::size_t>(strip)];
      part.begin = std::min(part.begin, begin);
      part.end = std::max(part.end, end);
      part.last = next;
      part.kept += (next - s) * (end - begin);
    }
  }
}

// Appends the block of a part of a chunk, or joins it to the block before.
//
// A full block ends with a vector of queries, or with the tile's last query. Elsewhere the last
// vector has lanes of other queries, which must not see the block's keys.
//
// A block of the same queries in the chunk before is made longer if it ends where this one begins.
// It must not stand before `from`: the queries of a key stay in order.
std::size_t TileCutter::append(const Part& part, std::int64_t tile, std::size_t from,
                               PoolVector<PairBlock>& blocks) const {
  const auto to_int = [](std::int64_t n) { return static_cast<std::int32_t>(n); };
  const bool fills_lanes = part.last % kStrip == 0 || part.last == last_query_;
  const PairBlock block = {to_int(part.begin), to_int(part.end), to_int(tile + part.first),
                           to_int(tile + part.last), part.kept == part.pairs() && fills_lanes};
  constexpr std::size_t kOfAChunk = std::tuple_size_v<Chunk>;
  const std::size_t size = blocks.size(), first = std::max(from, size - std::min(size, kOfAChunk));
  const auto before = std::find_if(blocks.begin() + static_cast<std::ptrdiff_t>(first),
                                   blocks.end(), [&](const PairBlock& b) {
                                     return b.end == block.begin && b.first == block.first &&
                                            b.last == block.last && b.full == block.full;
                                   });
  if (before == blocks.end()) {
    blocks.push_back(block);
    return blocks.size();
  }
  before->end = block.end;
  return static_cast<std::size_t>(before - blocks.begin()) + 1;
}

std::int64_t TileCutter::cut(std::int64_t tile, PoolVector<PairBlock>& blocks) {
  const std::size_t first_of_tile = blocks.size();
  std::int64_t pairs = 0;
  for (; first_chunk_ < last_chunk_; ++first_chunk_) {
    std::size_t from = first_of_tile;
    Part pending;
    const auto finish = [&] {
      if (pending.kept == 0) return;
      from = append(pending, tile, from, blocks);
      pairs += pending.pairs();
    };
    Chunk& chunk = chunks_[static_cast<std::size_t>(first_chunk_)];
    for (std::int64_t strip = 0; strip < AttentionTiles::kStrips; ++strip) {
      Part& part = chunk[static_cast<std::size_t>(strip)];
      if (part.kept == 0) continue;
      part.first = strip * kStrip;
      part.pairs_apart = part.pairs();
      const Part both = pending.kept ? pending.with(part) : part;
      if (!both.should_be_apart()) {
        pending = both;
      } else {
        finish();
        pending = part;
      }
      part = Part();
    }
    finish();
  }
  first_chunk_ = std::numeric_limits<std::int64_t>::max();
  last_chunk_ = last_query_ = 0;
  return pairs;
}

}  // namespace maskgrad::ops
