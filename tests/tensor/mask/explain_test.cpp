// Explanations and drawings by example; attention_mask_property_test.cpp counts them all by hand.
#include <sstream>

#include <gtest/gtest.h>

#include <maskgrad/tensor/mask/explain.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::bits;
using test::error_of;

SequenceMask lengths(const std::vector<std::int64_t>& values, std::int64_t size) {
  return SequenceMask::from_lengths(values, size);
}

TEST(MaskExplanation, SaysWhatAMaskAmountsTo) {
  const AttentionMask mask =
      AttentionMask::causal(128) & AttentionMask::padding(lengths({128, 64}, 128));
  const MaskExplanation found = explain(mask);
  EXPECT_EQ(found.shape, (Shape{2, 1, 128, 128}));
  EXPECT_EQ(found.recipe, "causal & padding");
  EXPECT_EQ(found.form, "one interval a row");
  EXPECT_EQ(found.longest_row, 1);
  EXPECT_EQ(found.pairs, 2 * 128 * 128);
  EXPECT_EQ(found.pairs_kept, 128 * 129 / 2 + 64 * 65 / 2 + 64 * 64);
  EXPECT_EQ(found.share(), (8256.0 + 2080.0 + 4096.0) / 32768.0);
  EXPECT_EQ(found.rows, 256);
  EXPECT_EQ(found.rows_with_nothing, 0);
  EXPECT_EQ(found.tile, 64);
  EXPECT_EQ(found.tiles_empty, 1 + 2);
  EXPECT_EQ(found.tiles_full, 1 + 1);
  EXPECT_EQ(found.tiles_partial, 2 + 1);
}

TEST(MaskExplanation, ReadsAsAFewLines) {
  const AttentionMask mask =
      AttentionMask::causal(128) & AttentionMask::padding(lengths({128, 64}, 128));
  EXPECT_EQ(to_string(explain(mask)),
            "causal & padding (2, 1, 128, 128)\n"
            "keeps 14432 of 32768 pairs (44.0%)\n"
            "0 of 256 rows have nothing to attend to\n"
            "kept as one interval a row\n"
            "tiles of 64 x 64: 3 empty, 2 full, 3 partial\n");
}

TEST(MaskExplanation, SaysWhyAMaskIsKeptAsBits) {
  const AttentionMask mask = AttentionMask::bits(bits({1, 0, 1, 0, 1, 0, 0, 0, 0, 0}, {2, 5}));
  EXPECT_EQ(to_string(explain(mask, 5)),
            "bits (1, 1, 2, 5)\n"
            "keeps 3 of 10 pairs (30.0%)\n"
            "1 of 2 rows have nothing to attend to\n"
            "kept as bits: a row has 3 runs of keys\n"
            "tiles of 5 x 5: 0 empty, 0 full, 1 partial\n");
}

TEST(MaskExplanation, NamesTheThreeForms) {
  EXPECT_EQ(explain(AttentionMask::all(2, 2)).form, "one interval a row");
  EXPECT_EQ(explain(~AttentionMask::window(3, 3, 0, 0)).form, "two intervals a row");
  EXPECT_EQ(explain(AttentionMask::bits(bits({1, 0, 1, 0, 1}, {1, 5}))).form, "bits");
}

TEST(MaskExplanation, OfNoPairsIsAllZeros) {
  const MaskExplanation found = explain(AttentionMask::causal(0));
  EXPECT_EQ(found.pairs, 0);
  EXPECT_EQ(found.share(), 0.0);
  EXPECT_EQ(found.rows, 0);
  EXPECT_EQ(found.tiles_empty + found.tiles_full + found.tiles_partial, 0);
  EXPECT_EQ(explain(AttentionMask::all(3, 0)).rows_with_nothing, 3);
}

TEST(MaskExplanation, TakesATileLargerThanTheMask) {
  EXPECT_EQ(explain(AttentionMask::all(3, 4), std::int64_t{1} << 62).tiles_full, 1);
}

TEST(MaskExplanation, OfALongMaskCountsTilesWithoutATableOfBits) {
  constexpr std::int64_t kSize = std::int64_t{1} << 16, kTiles = kSize / 64;
  const MaskExplanation found = explain(AttentionMask::window(kSize, kSize, 64, 0));
  EXPECT_EQ(found.tiles_partial, kTiles + kTiles - 1);
  EXPECT_EQ(found.tiles_full, 0);
  EXPECT_EQ(found.tiles_empty, kTiles * kTiles - (2 * kTiles - 1));
}

TEST(MaskExplanation, RefusesWhatItCannotCount) {
  EXPECT_EQ(error_of([] { explain(AttentionMask()); }),
            "[mask_explain] the mask was used before it was given a value");
  EXPECT_EQ(error_of([] { explain(AttentionMask::all(1, 1), 0); }),
            "[mask_explain] tile must be at least 1: 0");
}

TEST(MaskDrawing, HasALineForEachQuery) {
  EXPECT_EQ(draw(AttentionMask::causal(3)),
            "#..\n"
            "##.\n"
            "###\n");
  EXPECT_EQ(draw(AttentionMask::window(4, 5, 0, 0) | AttentionMask::sink(4, 5, 1)),
            "#....\n"
            "##...\n"
            "#.#..\n"
            "#..#.\n");
  EXPECT_EQ(draw(AttentionMask::all(0, 3)), "");
  EXPECT_EQ(draw(AttentionMask::all(2, 0)), "\n\n");
}

TEST(MaskDrawing, ShowsTheBatchEntryAskedFor) {
  const AttentionMask mask = AttentionMask::padding(lengths({1, 3}, 3), 1);
  EXPECT_EQ(draw(mask), "#..\n");
  EXPECT_EQ(draw(mask, 1), "###\n");
  EXPECT_EQ(draw(mask, 1, 7), "###\n") << "heads of size 1 stand for any number";
}

TEST(MaskDrawing, OfALargeMaskShowsSquaresOfPairs) {
  EXPECT_EQ(draw(AttentionMask::causal(256), 0, 0, 4),
            "+...\n"
            "#+..\n"
            "##+.\n"
            "###+\n");
  EXPECT_EQ(draw(AttentionMask::all(2, 9), 0, 0, 3), "###\n");
}

TEST(MaskDrawing, OfSequencesHasALineForEach) {
  EXPECT_EQ(draw(lengths({2, 0, 4}, 4)),
            "##..\n"
            "....\n"
            "####\n");
  EXPECT_EQ(draw(lengths({2, 0, 4}, 4), 2, 2),
            "+.\n"
            "##\n");
  EXPECT_EQ(draw(lengths({3, 2}, 4), 8, 2),
            "#+\n"
            "#.\n");
}

TEST(MaskDrawing, IsWhatPrintingAMaskGives) {
  const auto printed = [](const auto& mask) {
    std::ostringstream out;
    out << mask;
    return out.str();
  };
  EXPECT_EQ(printed(AttentionMask::causal(2)), "#.\n##\n");
  EXPECT_EQ(printed(lengths({1, 2}, 2)), "#.\n##\n");
  EXPECT_EQ(printed(AttentionMask()), "(says nothing)");
  EXPECT_EQ(printed(SequenceMask()), "(says nothing)");
  EXPECT_EQ(printed(AttentionMask::padding(lengths({}, 2))), "(0, 1, 2, 2)");
  EXPECT_EQ(printed(lengths({}, 2)), "(0, 2)");
}

TEST(MaskDrawing, RefusesWhatItCannotShow) {
  const AttentionMask mask = AttentionMask::padding(lengths({1, 3}, 3), 1);
  EXPECT_EQ(error_of([&] { draw(mask, 2); }),
            "[mask_explain] no batch entry 2 and head 0 in (2, 1, 1, 3)");
  EXPECT_EQ(error_of([&] { draw(mask, -1, 0); }),
            "[mask_explain] no batch entry -1 and head 0 in (2, 1, 1, 3)");
  EXPECT_EQ(error_of([&] { draw(mask, 0, 0, 0); }),
            "[mask_explain] max_size must be at least 1: 0");
  EXPECT_EQ(error_of([] { draw(AttentionMask()); }),
            "[mask_explain] the mask was used before it was given a value");
  EXPECT_EQ(error_of([] { draw(SequenceMask()); }),
            "[mask_explain] the mask was used before it was given a value");
  EXPECT_EQ(error_of([] { draw(lengths({1}, 1), 0); }),
            "[mask_explain] max_rows must be at least 1: 0");
  EXPECT_EQ(error_of([] { draw(lengths({1}, 1), 1, -2); }),
            "[mask_explain] max_columns must be at least 1: -2");
}

}  // namespace
}  // namespace maskgrad
