// What attention computes under a mask, against the bits of the mask.
#include <algorithm>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <maskgrad/ops/cpu/attention/tiles.hpp>

#include "support/tensors.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using ops::AttentionTiles;
using ops::PairBlock;
using Int = std::int64_t;

Int draw_int(Int low, Int high) {
  return *rc::gen::resize(rc::kNominalSize, rc::gen::inRange<Int>(low, high + 1));
}

struct Sizes {
  Int batch, heads, queries, keys;
};

// Of several tiles and chunks, often ending where one ends.
Sizes draw_sizes() {
  const auto size = [] {
    return *rc::gen::element<Int>(0, 1, 20, 63, 64, 65, 128, 129, 130, 200, 210);
  };
  const Int keys = size();
  return {*rc::gen::element<Int>(0, 1, 1, 2, 2, 2), draw_int(1, 2), draw_int(0, 1) ? keys : size(),
          keys};
}

Tensor draw_bits(const Shape& shape) {
  Random random(static_cast<std::uint64_t>(draw_int(0, 1 << 20)));
  return test::random_bits(random, shape, *rc::gen::element(0.0, 0.001, 0.5, 0.999, 1.0));
}

// Segments of random lengths, with padding here and there. [B, S, S] of one size.
AttentionMask draw_segments(const Sizes& n) {
  Tensor ids = Tensor::empty({n.batch, n.keys}, DType::kInt64);
  Int id = 0;
  for (Int i = 0; i < ids.numel();) {
    const Int length = draw_int(1, 90), value = draw_int(0, 4) == 0 ? -1 : id++;
    for (Int end = std::min(i + length, ids.numel()); i < end; ++i) ids.data<Int>()[i] = value;
  }
  return AttentionMask::segments(ids);
}

AttentionMask draw_leaf(const Sizes& n) {
  switch (draw_int(n.queries == n.keys ? 0 : 2, 9)) {
    case 0:
      return draw_segments(n);
    case 1:
      return AttentionMask::existing(SequenceMask(draw_bits({n.batch, n.keys})));
    case 2:
      return AttentionMask::all(n.queries, n.keys);
    case 3:
      return AttentionMask::causal(n.queries, n.keys, draw_int(-70, 70));
    case 4:
      return AttentionMask::window(n.queries, n.keys, draw_int(0, 80), draw_int(0, 80));
    case 5:
      return AttentionMask::sink(n.queries, n.keys, draw_int(0, 70));
    case 6:
      return AttentionMask::padding(SequenceMask(draw_bits({n.batch, n.keys})), n.queries);
    case 7:
      return AttentionMask::bits(draw_bits({n.queries, n.keys}));
    case 8:
      return AttentionMask::bits(draw_bits({n.heads, n.queries, n.keys}));
    default:
      return AttentionMask::bits(draw_bits({n.batch, n.heads, n.queries, n.keys}));
  }
}

AttentionMask draw_mask(const Sizes& n) {
  const AttentionMask a = draw_leaf(n);
  switch (draw_int(0, 5)) {
    case 0:
      return ~a;
    case 1:
      return a & draw_leaf(n);
    case 2:
      return a | draw_leaf(n);
    default:
      return a;
  }
}

using Blocks = std::span<const PairBlock>;

// The bits of one tile, whose queries are [first, last).
struct TileBits {
  const bool* of_head;
  Int first, last, keys;
  Int first_key;  // of the sample, that some query of some head keeps

  bool keeps(Int s, Int t) const { return of_head[s * keys + t]; }
  Int kept(const PairBlock& block) const {
    Int pairs = 0;
    for (Int s = block.first; s < block.last; ++s) {
      for (Int t = block.begin; t < block.end; ++t) pairs += keeps(s, t);
    }
    return pairs;
  }
  // Whether some query of the block attends to t, and whether s attends to some key of it.
  bool has_key(const PairBlock& block, Int t) const {
    bool any = false;
    for (Int s = block.first; s < block.last; ++s) any |= keeps(s, t);
    return any;
  }
  bool has_query(const PairBlock& block, Int s) const {
    bool any = false;
    for (Int t = block.begin; t < block.end; ++t) any |= keeps(s, t);
    return any;
  }
};

// The first key that any row of [rows, keys] keeps; 0 where none does.
Int first_key_of(const bool* bits, Int rows, Int keys) {
  for (Int t = 0; t < keys; ++t) {
    for (Int row = 0; row < rows; ++row) {
      if (bits[row * keys + t]) return t;
    }
  }
  return 0;
}

// Calls f(blocks, bits) for the tiles of a mask.
template <class F>
void for_each_tile(const AttentionMask& mask, F f) {
  const AttentionTiles tiles(mask);
  const Tensor bits = mask.to_bits();
  const Shape& shape = mask.shape();
  RC_ASSERT(tiles.per_head() == (shape[2] + 63) / 64);
  for (Int b = 0; b < shape[0]; ++b) {
    const Int rows = shape[1] * shape[2],
              first_key = first_key_of(bits.data<bool>() + b * rows * shape[3], rows, shape[3]);
    RC_ASSERT(tiles.first_key(b) == first_key);
    for (Int h = 0; h < shape[1]; ++h) {
      for (Int i = 0; i < tiles.per_head(); ++i) {
        const bool* of_head = bits.data<bool>() + (b * shape[1] + h) * shape[2] * shape[3];
        f(tiles.blocks(b, h, i),
          TileBits{of_head, 64 * i, std::min<Int>(64 * i + 64, shape[2]), shape[3], first_key});
      }
    }
  }
}

RC_GTEST_PROP(AttentionTiles, HoldEveryKeptPairInExactlyOneBlockAndTheKeysOfAQueryInOrder, ()) {
  for_each_tile(draw_mask(draw_sizes()), [](Blocks blocks, const TileBits& bits) {
    for (Int s = bits.first; s < bits.last; ++s) {
      std::vector<Int> keys;
      for (const PairBlock& block : blocks) {
        if (s < block.first || s >= block.last) continue;
        for (Int t = block.begin; t < block.end; ++t) keys.push_back(t);
      }
      for (std::size_t i = 1; i < keys.size(); ++i) RC_ASSERT(keys[i - 1] < keys[i]);
      for (Int t = 0; t < bits.keys; ++t) {
        RC_ASSERT(!bits.keeps(s, t) || std::binary_search(keys.begin(), keys.end(), t));
      }
    }
  });
}

RC_GTEST_PROP(AttentionTiles, HaveBlocksOfTheirQueriesThatBeginAtAStripAndEndBehindOneWithPairs,
              ()) {
  for_each_tile(draw_mask(draw_sizes()), [](Blocks blocks, const TileBits& bits) {
    for (const PairBlock& block : blocks) {
      RC_ASSERT(bits.first <= block.first);
      RC_ASSERT(block.first < block.last);
      RC_ASSERT(block.last <= bits.last);
      RC_ASSERT(block.first % 16 == 0);
      RC_ASSERT(bits.has_query(block, block.last - 1));
    }
  });
}

RC_GTEST_PROP(AttentionTiles, HaveBlocksThatBeginAndEndWithAKeyThatIsKept, ()) {
  for_each_tile(draw_mask(draw_sizes()), [](Blocks blocks, const TileBits& bits) {
    for (const PairBlock& block : blocks) {
      RC_ASSERT(0 <= block.begin);
      RC_ASSERT(block.begin < block.end);
      RC_ASSERT(block.end <= bits.keys);
    }
    for (ops::ChunkWalk walk(blocks, bits.first_key); walk.next();) {
      for (const PairBlock& part : walk.parts()) {
        RC_ASSERT(bits.has_key(part, part.begin));
        RC_ASSERT(bits.has_key(part, part.end - 1));
      }
    }
  });
}

RC_GTEST_PROP(AttentionTiles, CallFullWhatIsFullAndNothingElse, ()) {
  for_each_tile(draw_mask(draw_sizes()), [](Blocks blocks, const TileBits& bits) {
    const Int last = ops::queries_of(0, 0, blocks).last;
    for (const PairBlock& block : blocks) {
      const bool keeps_all = bits.kept(block) == block.keys() * block.queries();
      const bool shares_a_vector = block.last % 16 != 0 && block.last != last;
      RC_ASSERT(block.full == (keeps_all && !shares_a_vector));
    }
  });
}

RC_GTEST_PROP(AttentionTiles, ComputeAtMostAQuarterMoreThanTheStripsOfEachChunkNeed, ()) {
  for_each_tile(draw_mask(draw_sizes()), [](Blocks blocks, const TileBits& bits) {
    Int computed = 0, needed = 0;
    for (const PairBlock& block : blocks) computed += block.keys() * block.queries();
    for (Int begin = bits.first_key; begin < bits.keys; begin += 64) {
      for (Int first = bits.first; first < bits.last; first += 16) {
        const Int last = std::min(first + 16, bits.last), end = std::min(begin + 64, bits.keys);
        Int lo = end, hi = begin, rows = 0;
        for (Int s = first; s < last; ++s) {
          for (Int t = begin; t < end; ++t) {
            if (!bits.keeps(s, t)) continue;
            lo = std::min(lo, t);
            hi = std::max(hi, t + 1);
            rows = s + 1 - first;
          }
        }
        needed += std::max<Int>(0, hi - lo) * rows;
      }
    }
    RC_ASSERT(needed <= computed);
    RC_ASSERT(4 * computed <= 5 * needed);
  });
}

RC_GTEST_PROP(AttentionTiles, CountThePairsOfTheirBlocks, ()) {
  const AttentionMask mask = draw_mask(draw_sizes());
  Int pairs = 0;
  for_each_tile(mask, [&](Blocks blocks, const TileBits&) {
    for (const PairBlock& block : blocks) pairs += block.keys() * block.queries();
  });
  RC_ASSERT(AttentionTiles(mask).pairs() == pairs);
  RC_ASSERT(pairs >= mask.kept());
}

// Each pair of a block once: chunk by chunk, and in the order of queries within one.
RC_GTEST_PROP(AttentionTiles, AreTakenInChunksOf64FromTheFirstKeyOn, ()) {
  for_each_tile(draw_mask(draw_sizes()), [](Blocks blocks, const TileBits& bits) {
    std::vector<PairBlock> left(blocks.begin(), blocks.end());
    const auto chunk_of = [&](Int key) { return (key - bits.first_key) / 64; };
    Int chunk = -1;
    for (ops::ChunkWalk walk(blocks, bits.first_key); walk.next();) {
      const auto parts = walk.parts();
      RC_ASSERT(!parts.empty());
      RC_ASSERT(chunk_of(parts[0].begin) > chunk);
      chunk = chunk_of(parts[0].begin);
      Int query = 0;
      for (const PairBlock& part : parts) {
        RC_ASSERT(query <= part.first);
        query = part.last;
        RC_ASSERT(chunk_of(part.begin) == chunk);
        RC_ASSERT(chunk_of(part.end - 1) == chunk);
        const auto block = std::find_if(left.begin(), left.end(), [&](const PairBlock& b) {
          return b.begin == part.begin && b.first == part.first && b.last == part.last &&
                 b.full == part.full && b.begin < b.end;
        });
        RC_ASSERT(block != left.end());
        RC_ASSERT(part.end == std::min<Int>(block->end, bits.first_key + 64 * (chunk + 1)));
        block->begin = part.end;
      }
    }
    for (const PairBlock& block : left) RC_ASSERT(block.begin == block.end);
  });
}

RC_GTEST_PROP(AttentionTiles, AreTakenInGroupsOf512Keys, ()) {
  Sizes sizes = draw_sizes();
  sizes.keys = *rc::gen::element<Int>(1, 511, 512, 513, 1024, 1100);
  for_each_tile(draw_mask(sizes), [](Blocks blocks, const TileBits& bits) {
    Int before = 0;
    for (ops::ChunkWalk walk(blocks, bits.first_key); walk.next();) {
      for (const PairBlock& part : walk.parts())
        RC_ASSERT(walk.group() == (part.begin - bits.first_key) / 512);
      RC_ASSERT(walk.group() >= before);
      before = walk.group();
    }
  });
}

RC_GTEST_PROP(AttentionTiles, SpanTheQueriesOfTheirBlocks, ()) {
  for_each_tile(draw_mask(draw_sizes()), [](Blocks blocks, const TileBits&) {
    const ops::QueryTile tile = ops::queries_of(3, 2, blocks);
    RC_ASSERT(tile.b == 3);
    RC_ASSERT(tile.h == 2);
    RC_ASSERT((tile.count() == 0) == blocks.empty());
    bool first = blocks.empty(), last = blocks.empty();
    for (const PairBlock& block : blocks) {
      RC_ASSERT(tile.first <= block.first);
      RC_ASSERT(block.last <= tile.last);
      first |= tile.first == block.first;
      last |= tile.last == block.last;
    }
    RC_ASSERT(first);
    RC_ASSERT(last);
  });
}

RC_GTEST_PROP(AttentionTiles, AreTheSameOnAnyNumberOfThreads, ()) {
  const Sizes n = {20, *rc::gen::element<Int>(1, 2), 130, 130};
  const AttentionMask mask = draw_mask(n);
  const AttentionTiles one(mask);
  for (const int threads : {2, 3}) {
    const test::WithThreads more(threads);
    const AttentionTiles other(mask);
    RC_ASSERT(one.pairs() == other.pairs());
    for (Int entry = 0; entry < n.batch * n.heads * one.per_head(); ++entry) {
      const Int tile = entry / n.heads, head = entry % n.heads;
      const Blocks a = one.blocks(tile / one.per_head(), head, tile % one.per_head()),
                   b = other.blocks(tile / one.per_head(), head, tile % one.per_head());
      RC_ASSERT(std::equal(a.begin(), a.end(), b.begin(), b.end()));
    }
  }
}

RC_GTEST_PROP(AttentionTiles, AreThoseOfTheOneBatchEntryAndHeadForAnyOther, ()) {
  const Sizes n = draw_sizes();
  const AttentionMask mask = draw_leaf({1, 1, n.queries, n.keys});
  const AttentionTiles tiles(mask);
  for (Int i = 0; i < tiles.per_head(); ++i) {
    const Blocks first = tiles.blocks(0, 0, i), other = tiles.blocks(5, 3, i);
    RC_ASSERT(first.data() == other.data());
    RC_ASSERT(first.size() == other.size());
  }
}

Tensor segment_ids(Int size, Int length) {
  Tensor ids = Tensor::empty({1, size}, DType::kInt64);
  for (Int s = 0; s < size; ++s) ids.data<Int>()[s] = s / length;
  return ids;
}

TEST(AttentionTiles, AreFewBlocksForEachTileHoweverLongASequenceIs) {
  const auto blocks_of = [](const AttentionMask& mask) {
    const AttentionTiles tiles(mask);
    std::size_t most = 0;
    for (Int b = 0; b < mask.shape()[0]; ++b) {
      for (Int i = 0; i < tiles.per_head(); ++i) {
        most = std::max(most, tiles.blocks(b, 0, i).size());
      }
    }
    return most;
  };
  for (const Int size : {500, 1000, 2000, 4000}) {
    const Int lengths[] = {size, size / 3, 1, 0};
    const SequenceMask exists = SequenceMask::from_lengths(lengths, size);
    // What is full, and three in the chunk that the diagonal crosses.
    EXPECT_EQ(blocks_of(AttentionMask::causal(size)), 4U);
    EXPECT_EQ(blocks_of(AttentionMask::all(size, size)), 1U);
    EXPECT_EQ(blocks_of(AttentionMask::padding(exists)), 1U);
    EXPECT_LE(blocks_of(AttentionMask::causal(size) & AttentionMask::padding(exists)), 4U);
    EXPECT_LE(blocks_of(AttentionMask::existing(exists)), 1U);
    // An edge crosses two chunks at most, each then of four blocks; what is full between two edges
    // is one more, and so is a sink.
    EXPECT_LE(blocks_of(AttentionMask::window(size, size, 200, 0)), 11U);
    EXPECT_LE(blocks_of(AttentionMask::window(size, size, 200, 200)), 13U);
    EXPECT_LE(
        blocks_of(AttentionMask::window(size, size, 100, 0) | AttentionMask::sink(size, size, 4)),
        12U);
    for (const Int length : {10, 64, 100, 300}) {
      EXPECT_LE(blocks_of(AttentionMask::segments(segment_ids(size, length))), 9U) << length;
    }
  }
}

TEST(AttentionTiles, ComputeElevenOfSixteenPairsOfTheChunkThatADiagonalCrosses) {
  EXPECT_EQ(AttentionTiles(AttentionMask::causal(64)).pairs(), 64 * 64 * 11 / 16);
  EXPECT_EQ(AttentionTiles(AttentionMask::causal(128)).pairs(), 64 * 64 * (16 + 2 * 11) / 16);
}

TEST(AttentionTiles, ComputeOnlyWhatExistsOfAPaddedSample) {
  const Int lengths[] = {14, 20, 1, 0};
  const SequenceMask exists = SequenceMask::from_lengths(lengths, 20);
  const AttentionTiles tiles(AttentionMask::existing(exists));
  EXPECT_EQ(tiles.pairs(), 14 * 14 + 20 * 20 + 1);
  for (Int b = 0; b < 3; ++b) {
    ASSERT_EQ(tiles.blocks(b, 0, 0).size(), 1U);
    EXPECT_TRUE(tiles.blocks(b, 0, 0)[0].full);
  }
  EXPECT_TRUE(tiles.blocks(3, 0, 0).empty());
}

TEST(AttentionTiles, ComputeInProportionToTheLengthUnderAWindow) {
  const auto pairs = [](Int size) {
    return AttentionTiles(AttentionMask::window(size, size, 127, 0)).pairs();
  };
  // Sixteen queries see 127 + 16 keys, and what is full up to a quarter more.
  EXPECT_LE(pairs(2048), 2048 * (127 + 32));
  EXPECT_LE(pairs(8192), 8192 * (127 + 32));
  EXPECT_GE(pairs(8192), 8192 * 128 - 128 * 128);
}

}  // namespace
}  // namespace maskgrad
