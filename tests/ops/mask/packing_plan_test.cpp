#include <limits>

#include <gmock/gmock.h>

#include <maskgrad/ops/cpu/attention/tiles.hpp>
#include <maskgrad/ops/mask/packing.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using ops::PackingCost;
using ops::PackingPlan;
using ops::Work;

SequenceMask lengths(const std::vector<std::int64_t>& of_samples, std::int64_t padded_to) {
  return SequenceMask::from_lengths(of_samples, padded_to);
}

SequenceMask equal_lengths(std::size_t samples, std::int64_t length, std::int64_t padded_to) {
  return lengths(std::vector<std::int64_t>(samples, length), padded_to);
}

// What the kernel goes through: each block's queries, in vectors of 16, times its keys.
std::int64_t pairs_of_kernel(const AttentionMask& mask) {
  const ops::AttentionTiles tiles(mask);
  std::int64_t pairs = 0;
  for (std::int64_t b = 0; b < mask.shape()[0]; ++b) {
    for (std::int64_t t = 0; t < tiles.per_head(); ++t) {
      for (const ops::PairBlock& block : tiles.blocks(b, 0, t)) {
        pairs += 16 * ((block.queries() + 15) / 16) * block.keys();
      }
    }
  }
  return pairs;
}

// An attention layer of D features, as Reflect says.
Work attention_of(std::int64_t d) { return {9 * d * d, 7 * d + 32}; }

TEST(PackingPlan, CountsThePairsThatAttentionComputesEitherWay) {
  Random random(1);
  for (const double share : {0.02, 0.3, 0.9, 1.0}) {
    for (const Shape& shape : {Shape{1, 1}, Shape{3, 20}, Shape{7, 65}, Shape{4, 300}}) {
      const SequenceMask mask(test::random_bits(random, shape, share));  // holes everywhere
      const PackingCost cost = ops::packing_cost(mask);
      EXPECT_EQ(cost.padded_positions, shape.numel());
      EXPECT_EQ(cost.packed_positions, mask.kept());
      EXPECT_EQ(cost.padded_pairs, pairs_of_kernel(AttentionMask::existing(mask)));
      EXPECT_EQ(cost.packed_pairs, pairs_of_kernel(ops::packing_of(mask).attention()));
    }
  }
}

TEST(PackingPlan, CountsThePairsOfSamplesOfAnyLength) {
  Random random(2);
  for (int i = 0; i < 50; ++i) {
    const std::int64_t longest = random.integer(1, 400);
    std::vector<std::int64_t> of_samples(static_cast<std::size_t>(random.integer(1, 20)));
    for (std::int64_t& length : of_samples) length = random.integer(0, longest);
    const SequenceMask mask = lengths(of_samples, longest);
    const PackingCost cost = ops::packing_cost(mask);
    EXPECT_EQ(cost.padded_pairs, pairs_of_kernel(AttentionMask::existing(mask)));
    EXPECT_EQ(cost.packed_pairs, pairs_of_kernel(ops::packing_of(mask).attention()));
  }
}

TEST(PackingPlan, PadsManyShortSamplesWhichWouldShareTilesInOneRow) {
  const PackingPlan plan = ops::plan_packing(equal_lengths(100, 13, 20), attention_of(15));
  EXPECT_FALSE(plan.pack);
  EXPECT_LT(plan.cost.packed_positions, plan.cost.padded_positions);
  EXPECT_GT(plan.cost.packed_pairs, plan.cost.padded_pairs);
}

TEST(PackingPlan, PacksLongSamplesWithMuchPadding) {
  const PackingPlan plan = ops::plan_packing(equal_lengths(16, 200, 2000), attention_of(64));
  EXPECT_TRUE(plan.pack);
  EXPECT_LT(plan.packed_multiplications(), plan.padded_multiplications() / 2);
}

TEST(PackingPlan, PadsWhereThereIsNothingToGain) {
  EXPECT_FALSE(ops::plan_packing(equal_lengths(8, 128, 128), attention_of(64)).pack);
  EXPECT_FALSE(ops::plan_packing(equal_lengths(8, 100, 300), Work{}).pack);
  EXPECT_FALSE(
      ops::plan_packing(SequenceMask(Tensor::zeros({0, 3}, DType::kBool)), Work{1, 1}).pack);
}

TEST(PackingPlan, TakesTheWayWithFewerMultiplications) {
  Random random(3);
  int packed = 0;
  for (int i = 0; i < 200; ++i) {
    const std::int64_t longest = random.integer(1, 200), d = random.integer(1, 64);
    std::vector<std::int64_t> of_samples(static_cast<std::size_t>(random.integer(1, 20)));
    for (std::int64_t& length : of_samples) length = random.integer(0, longest);
    const SequenceMask mask = lengths(of_samples, longest);
    const auto count = [&](std::int64_t positions, const AttentionMask& pairs) {
      return 9 * d * d * positions + (7 * d + 32) * pairs_of_kernel(pairs);
    };
    const std::int64_t as_batch = count(mask.shape().numel(), AttentionMask::existing(mask));
    const std::int64_t as_row = count(mask.kept(), ops::packing_of(mask).attention()) + 50'000;
    const PackingPlan plan = ops::plan_packing(mask, attention_of(d));
    EXPECT_EQ(plan.padded_multiplications(), as_batch);
    EXPECT_EQ(plan.packed_multiplications(), as_row);
    EXPECT_EQ(plan.pack, as_row < as_batch);
    packed += plan.pack;
  }
  EXPECT_GT(packed, 20);
  EXPECT_LT(packed, 180);
}

TEST(PackingPlan, SaysWhatIsChosenAndWhatTheOtherWayWouldCost) {
  // Vectors of 16 queries times 3 keys, twice; a row of 6 in one vector.
  const auto said = [](std::int64_t per_position) {
    return to_string(ops::plan_packing(equal_lengths(2, 3, 5), {per_position, 1}));
  };
  EXPECT_EQ(said(10),
            "pads: 10 positions and 96 pairs cost 196 multiplications; packed: 6 positions and 96 "
            "pairs would cost 50.2 k");
  EXPECT_EQ(said(100'000),
            "packs: 6 positions and 96 pairs cost 650 k multiplications; padded: 10 positions and "
            "96 pairs would cost 1.0 M");
}

TEST(PackingPlan, RoundsWhatItSays) {
  const auto said = [](std::int64_t per_position) {
    return to_string(ops::plan_packing(equal_lengths(1, 1, 1), {per_position, 0}));
  };
  EXPECT_THAT(said(999), ::testing::HasSubstr("pairs cost 999 multiplications"));
  EXPECT_THAT(said(1000), ::testing::HasSubstr("pairs cost 1.0 k multiplications"));
  EXPECT_THAT(said(99'940), ::testing::HasSubstr("pairs cost 99.9 k multiplications"));
  EXPECT_THAT(said(123'456'789), ::testing::HasSubstr("pairs cost 123 M multiplications"));
  EXPECT_THAT(said(999'600'000), ::testing::HasSubstr("pairs cost 1.0 G multiplications"));
}

TEST(PackingPlan, SaysWhatEitherWayCosts) {
  const SequenceMask mask(test::bits({1, 1, 0, 0, 0, 0, 1, 0, 1}, {3, 3}));
  // 16 queries times 2, 0 and 3 keys; 16 times 4.
  EXPECT_EQ(to_string(ops::packing_cost(mask)),
            "padded: 9 positions, 80 pairs; packed: 4 (44%), 64 (80%)");
  EXPECT_EQ(to_string(ops::packing_cost(SequenceMask(Tensor::zeros({0, 3}, DType::kBool)))),
            "padded: 0 positions, 0 pairs; packed: 0 (100%), 0 (100%)");
}

TEST(PackingPlan, RefusesWorkThatDoesNotFit) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  const auto error = [](const Work& work) {
    return test::error_of([&] { ops::plan_packing(equal_lengths(2, 3, 5), work); });
  };
  EXPECT_EQ(error({kMost, 0}),
            "[pack] the work of a batch: 9223372036854775807 * 6 does not fit 64 bits");
  EXPECT_EQ(error({0, kMost}),
            "[pack] the work of a batch: 9223372036854775807 * 96 does not fit 64 bits");
  EXPECT_EQ(test::error_of([&] {
              Work{kMost, 1} + Work{1, 1};
            }),
            "[pack] work for a position: 9223372036854775807 + 1 does not fit 64 bits");
  EXPECT_EQ(error({kMost / 1000, 0}), "no error");
}

TEST(PackingPlan, NeedsAMaskThatSaysSomething) {
  EXPECT_EQ(
      test::error_of([] { ops::plan_packing({}, {}); }),
      "[pack] the mask was used before it was given a value; there is no padding to leave out");
}

}  // namespace
}  // namespace maskgrad
