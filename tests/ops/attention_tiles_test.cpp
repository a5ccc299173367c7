// What attention computes under a mask, against the bits of the mask.
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <maskgrad/ops/attention/tiles.hpp>

#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using ops::AttentionTiles;
using ops::KeyChunk;
using ops::KeyRange;
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

// The bits of one tile of queries.
struct TileBits {
  const bool* first;
  Int queries, keys;

  bool every(Int t) const {
    bool all = true;
    for (Int s = 0; s < queries; ++s) all &= first[s * keys + t];
    return all;
  }
  bool any(Int t) const {
    bool one = false;
    for (Int s = 0; s < queries; ++s) one |= first[s * keys + t];
    return one;
  }
};

// Calls f(ranges, bits) for the tiles of a mask.
template <class F>
void for_each_tile(const AttentionMask& mask, F f) {
  const AttentionTiles tiles(mask);
  const Tensor bits = mask.to_bits();
  const Shape& shape = mask.shape();
  RC_ASSERT(tiles.per_head() == (shape[2] + 63) / 64);
  for (Int b = 0; b < shape[0]; ++b) {
    for (Int h = 0; h < shape[1]; ++h) {
      for (Int i = 0; i < tiles.per_head(); ++i) {
        const Int first = ((b * shape[1] + h) * shape[2] + 64 * i) * shape[3];
        f(tiles.ranges(b, h, i),
          TileBits{bits.data<bool>() + first, std::min<Int>(64, shape[2] - 64 * i), shape[3]});
      }
    }
  }
}

RC_GTEST_PROP(AttentionTiles, AreSortedRangesThatDoNotOverlap, ()) {
  for_each_tile(draw_mask(draw_sizes()),
                [](std::span<const KeyRange> ranges, const TileBits& bits) {
                  Int end = 0;
                  for (const KeyRange& range : ranges) {
                    RC_ASSERT(range.begin >= end);
                    RC_ASSERT(range.begin < range.end);
                    end = range.end;
                  }
                  RC_ASSERT(end <= bits.keys);
                });
}

RC_GTEST_PROP(AttentionTiles, HoldEveryKeptPairInExactlyOneRange, ()) {
  for_each_tile(draw_mask(draw_sizes()), [](std::span<const KeyRange> ranges,
                                            const TileBits& bits) {
    for (Int t = 0; t < bits.keys; ++t) {
      const auto holding = std::count_if(ranges.begin(), ranges.end(), [t](const KeyRange& range) {
        return range.begin <= t && t < range.end;
      });
      RC_ASSERT(holding <= 1);
      RC_ASSERT(holding == 1 || !bits.any(t));
    }
  });
}

RC_GTEST_PROP(AttentionTiles, CallFullWhatIsFullAndNothingElse, ()) {
  for_each_tile(draw_mask(draw_sizes()),
                [](std::span<const KeyRange> ranges, const TileBits& bits) {
                  for (const KeyRange& range : ranges) {
                    ops::for_each_chunk(range, [&](const KeyChunk& chunk) {
                      const auto [begin, end, full] = chunk;
                      RC_ASSERT(full == range.full);
                      bool is_full = true;
                      for (Int t = begin; t < end; ++t) is_full &= bits.every(t);
                      RC_ASSERT(is_full == range.full);
                    });
                  }
                });
}

RC_GTEST_PROP(AttentionTiles, AreTakenInChunksThatEndAtMultiplesOf64AndBeginAndEndWithAKeptKey,
              ()) {
  for_each_tile(draw_mask(draw_sizes()),
                [](std::span<const KeyRange> ranges, const TileBits& bits) {
                  for (const KeyRange& range : ranges) {
                    Int next = range.begin;
                    ops::for_each_chunk(range, [&](const KeyChunk& chunk) {
                      const auto [begin, end, full] = chunk;
                      RC_ASSERT(begin == next);
                      RC_ASSERT(begin < end);
                      RC_ASSERT(end % 64 == 0 || end == range.end);
                      RC_ASSERT(begin / 64 == (end - 1) / 64);
                      RC_ASSERT(bits.any(begin));
                      RC_ASSERT(bits.any(end - 1));
                      next = end;
                    });
                    RC_ASSERT(next == range.end);
                  }
                });
}

RC_GTEST_PROP(AttentionTiles, CountThePairsInTheirRanges, ()) {
  const AttentionMask mask = draw_mask(draw_sizes());
  Int pairs = 0;
  for_each_tile(mask, [&](std::span<const KeyRange> ranges, const TileBits& bits) {
    for (const KeyRange& range : ranges) pairs += bits.queries * (range.end - range.begin);
  });
  RC_ASSERT(AttentionTiles(mask).pairs() == pairs);
  RC_ASSERT(pairs >= mask.kept());
}

RC_GTEST_PROP(AttentionTiles, AreThoseOfTheOneBatchEntryAndHeadForAnyOther, ()) {
  const Sizes n = draw_sizes();
  const AttentionMask mask = draw_leaf({1, 1, n.queries, n.keys});
  const AttentionTiles tiles(mask);
  for (Int i = 0; i < tiles.per_head(); ++i) {
    const auto first = tiles.ranges(0, 0, i), other = tiles.ranges(5, 3, i);
    RC_ASSERT(first.data() == other.data());
    RC_ASSERT(first.size() == other.size());
  }
}

Tensor segment_ids(Int size, Int length) {
  Tensor ids = Tensor::empty({1, size}, DType::kInt64);
  for (Int s = 0; s < size; ++s) ids.data<Int>()[s] = s / length;
  return ids;
}

TEST(AttentionTiles, AreFewRangesForEachTileHoweverLongASequenceIs) {
  const auto ranges_of = [](const AttentionMask& mask) {
    const AttentionTiles tiles(mask);
    std::size_t most = 0;
    for (Int b = 0; b < mask.shape()[0]; ++b) {
      for (Int i = 0; i < tiles.per_head(); ++i) {
        most = std::max(most, tiles.ranges(b, 0, i).size());
      }
    }
    return most;
  };
  for (const Int size : {500, 1000, 2000, 4000}) {
    const Int lengths[] = {size, size / 3, 1, 0};
    const SequenceMask exists = SequenceMask::from_lengths(lengths, size);
    // What is full, and the one chunk that the diagonal crosses.
    EXPECT_EQ(ranges_of(AttentionMask::causal(size)), 2U);
    EXPECT_EQ(ranges_of(AttentionMask::all(size, size)), 1U);
    EXPECT_EQ(ranges_of(AttentionMask::padding(exists)), 1U);
    EXPECT_LE(ranges_of(AttentionMask::causal(size) & AttentionMask::padding(exists)), 2U);
    EXPECT_LE(ranges_of(AttentionMask::existing(exists)), 1U);
    // An edge crosses two chunks, and between the two edges everything is full.
    EXPECT_LE(ranges_of(AttentionMask::window(size, size, 200, 0)), 3U);
    EXPECT_LE(ranges_of(AttentionMask::window(size, size, 200, 200)), 3U);
    EXPECT_LE(
        ranges_of(AttentionMask::window(size, size, 100, 0) | AttentionMask::sink(size, size, 4)),
        4U);
    for (const Int length : {10, 64, 100, 300}) {
      EXPECT_LE(ranges_of(AttentionMask::segments(segment_ids(size, length))), 3U) << length;
    }
  }
}

TEST(AttentionTiles, ComputeInProportionToTheLengthUnderAWindow) {
  const auto pairs = [](Int size) {
    return AttentionTiles(AttentionMask::window(size, size, 127, 0)).pairs();
  };
  // 64 queries see 127 + 64 keys.
  EXPECT_LE(pairs(2048), 2048 * (127 + 64));
  EXPECT_LE(pairs(8192), 8192 * (127 + 64));
  EXPECT_GE(pairs(8192), 8192 * 128 - 128 * 128);
}

}  // namespace
}  // namespace maskgrad
