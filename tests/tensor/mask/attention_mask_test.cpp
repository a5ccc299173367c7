// Attention masks by example.
#include <algorithm>
#include <limits>
#include <type_traits>

#include <gmock/gmock.h>

#include <maskgrad/tensor/mask/attention_mask.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using test::bits;
using test::error_of;
using ::testing::ElementsAre;
using Form = AttentionMask::Form;

// A mask of existing positions is not a mask of pairs, and neither is a tensor.
static_assert(!std::is_constructible_v<AttentionMask, SequenceMask>);
static_assert(!std::is_constructible_v<SequenceMask, AttentionMask>);
static_assert(!std::is_convertible_v<SequenceMask, AttentionMask>);
static_assert(!std::is_convertible_v<AttentionMask, SequenceMask>);
static_assert(!std::is_assignable_v<AttentionMask&, SequenceMask>);
static_assert(!std::is_assignable_v<SequenceMask&, AttentionMask>);
static_assert(!std::is_constructible_v<AttentionMask, Tensor>);
static_assert(!std::is_convertible_v<Tensor, SequenceMask>);
template <class A, class B>
concept Combines = requires(const A& a, const B& b) {
  a& b;
}
|| requires(const A& a, const B& b) { a | b; }
|| requires(const A& a, const B& b) { a == b; };
static_assert(Combines<AttentionMask, AttentionMask>);
static_assert(!Combines<AttentionMask, SequenceMask>);
static_assert(!Combines<SequenceMask, AttentionMask>);

// Rows of 0 and 1, of batch entry b and head h.
std::string rows(const AttentionMask& mask, std::int64_t b = 0, std::int64_t h = 0) {
  std::string text;
  for (std::int64_t s = 0; s < mask.shape()[2]; ++s) {
    if (s > 0) text += ' ';
    for (std::int64_t t = 0; t < mask.shape()[3]; ++t) text += mask.keeps(b, h, s, t) ? '1' : '0';
  }
  return text;
}

SequenceMask holes(const std::vector<double>& values, const Shape& shape) {
  return SequenceMask(bits(values, shape));
}

TEST(AttentionMask, OfNothingSaysNothing) {
  const AttentionMask mask;
  EXPECT_FALSE(mask.defined());
  EXPECT_TRUE(mask == AttentionMask());
  EXPECT_FALSE(mask == AttentionMask::all(1, 1));
  EXPECT_FALSE(AttentionMask::all(1, 1) == mask);
  const std::string error = "[attention_mask] used before it was given a value";
  EXPECT_EQ(error_of([&] { mask& AttentionMask::all(1, 1); }), error);
  EXPECT_EQ(error_of([&] { AttentionMask::all(1, 1) | mask; }), error);
  EXPECT_EQ(error_of([&] { ~mask; }), error);
}

TEST(AttentionMask, KeepsWhatItsNameSays) {
  EXPECT_EQ(rows(AttentionMask::all(2, 3)), "111 111");
  EXPECT_EQ(rows(AttentionMask::causal(3)), "100 110 111");
  EXPECT_EQ(rows(AttentionMask::causal(2, 4)), "1000 1100");
  EXPECT_EQ(rows(AttentionMask::window(4, 4, 1, 0)), "1000 1100 0110 0011");
  EXPECT_EQ(rows(AttentionMask::window(3, 4, 0, 2)), "1110 0111 0011");
  EXPECT_EQ(rows(AttentionMask::prefix(4, 4, 2)), "1100 1100 1110 1111");
  EXPECT_EQ(rows(AttentionMask::sink(2, 3, 2)), "110 110");
  EXPECT_EQ(rows(AttentionMask::bits(bits({1, 0, 1, 0, 0, 1}, {2, 3}))), "101 001");
}

TEST(AttentionMask, AlignsTheEndsOfACausalMaskByAnOffset) {
  EXPECT_EQ(rows(AttentionMask::causal(2, 4, 2)), "1110 1111");
  EXPECT_EQ(rows(AttentionMask::causal(4, 2, -2)), "00 00 10 11");
}

TEST(AttentionMask, KeepsPairsOfOneSegmentAndNothingOfPadding) {
  for (const DType dtype : {DType::kInt32, DType::kInt64}) {
    const Tensor ids = test::make({7, 7, 0, -1, /**/ 1, 2, 1, -5}, {2, 4}, dtype);
    const AttentionMask mask = AttentionMask::segments(ids);
    EXPECT_EQ(mask.shape(), (Shape{2, 1, 4, 4}));
    EXPECT_EQ(rows(mask, 0), "1100 1100 0010 0000");
    EXPECT_EQ(rows(mask, 1), "1010 0100 1010 0000");
    EXPECT_EQ(mask.intervals_per_row(), 2);
  }
}

TEST(AttentionMask, TellsSegmentsApartByAllBitsOfTheirIds) {
  const std::int64_t large = std::int64_t{1} << 32;
  const AttentionMask mask =
      AttentionMask::segments(Tensor::from({large, std::int64_t{0}}, {1, 2}));
  EXPECT_EQ(rows(mask), "10 01");
}

TEST(AttentionMask, LeavesOutKeysThatDoNotExist) {
  const SequenceMask keys = holes({1, 1, 0, 0, 0, 1}, {2, 3});
  const AttentionMask mask = AttentionMask::padding(keys, 2);
  EXPECT_EQ(mask.shape(), (Shape{2, 1, 2, 3}));
  EXPECT_EQ(rows(mask, 0), "110 110");
  EXPECT_EQ(rows(mask, 1), "001 001");
  EXPECT_EQ(AttentionMask::padding(keys).shape(), (Shape{2, 1, 3, 3}));
}

TEST(AttentionMask, LeavesOutQueriesAndKeysThatDoNotExist) {
  const AttentionMask mask = AttentionMask::existing(holes({1, 1, 0, 0, 0, 0}, {2, 3}));
  EXPECT_EQ(mask.shape(), (Shape{2, 1, 3, 3}));
  EXPECT_EQ(rows(mask, 0), "110 110 000");
  EXPECT_EQ(rows(mask, 1), "000 000 000");
  EXPECT_EQ(mask.recipe(), "existing");
}

TEST(AttentionMask, LeavesOutOfTwoSequencesWhatDoesNotExist) {
  const AttentionMask mask =
      AttentionMask::existing(holes({0, 1, 1, 1}, {2, 2}), holes({1, 0, 1, 0, 0, 0}, {2, 3}));
  EXPECT_EQ(mask.shape(), (Shape{2, 1, 2, 3}));
  EXPECT_EQ(rows(mask, 0), "000 101");
  EXPECT_EQ(rows(mask, 1), "000 000");
  // Three runs of keys that no query reads.
  EXPECT_TRUE(AttentionMask::existing(holes({0, 0}, {1, 2}), holes({1, 0, 1, 0, 1}, {1, 5})) ==
              ~AttentionMask::padding(holes({1, 1, 1, 1, 1}, {1, 5}), 2));
  EXPECT_EQ(error_of([] {
              AttentionMask::existing(holes({1, 1}, {2, 1}), holes({1, 1}, {1, 2}));
            }),
            "[attention_mask] batches of queries (2, 1) and keys (1, 2) differ");
}

TEST(AttentionMask, TakesBitsOfAnyRankFromTheRight) {
  const std::vector<double> values = {1, 0, 0, 1, 1, 1, 0, 0};
  EXPECT_EQ(AttentionMask::bits(bits(values, {2, 4})).shape(), (Shape{1, 1, 2, 4}));
  const AttentionMask heads = AttentionMask::bits(bits(values, {2, 2, 2}));
  EXPECT_EQ(heads.shape(), (Shape{1, 2, 2, 2}));
  EXPECT_EQ(rows(heads, 5, 1), "11 00") << "any batch entry is the only one";
  const AttentionMask batch = AttentionMask::bits(bits(values, {2, 1, 2, 2}));
  EXPECT_EQ(batch.shape(), (Shape{2, 1, 2, 2}));
  EXPECT_EQ(rows(batch, 1, 5), "11 00") << "any head is the only one";
}

TEST(AttentionMask, StretchesBitsOfSizeOne) {
  EXPECT_EQ(rows(AttentionMask::bits(bits({1, 0, 1}, {1, 3}), 2, 3)), "101 101");
  EXPECT_EQ(rows(AttentionMask::bits(bits({1, 0}, {2, 1}), 2, 3)), "111 000");
  EXPECT_EQ(rows(AttentionMask::bits(bits({1}, {1, 1}), 2, 3)), "111 111");
  EXPECT_EQ(AttentionMask::bits(bits({1}, {1, 1}), 2, 0).shape(), (Shape{1, 1, 2, 0}));
}

TEST(AttentionMask, DoesNotSeeWhatIsLaterWrittenToItsBits) {
  Tensor table = bits({1, 0, 1, 0, 1, 0}, {1, 6});
  const AttentionMask mask = AttentionMask::bits(table);
  table.fill(0);
  mask.to_bits().fill(0);
  EXPECT_EQ(rows(mask), "101010");
}

TEST(AttentionMask, KeepsIntervalsSortedWithEmptyOnesLast) {
  const AttentionMask one = AttentionMask::window(3, 4, 0, 0) & AttentionMask::sink(3, 4, 2);
  EXPECT_EQ(one.form(), Form::kIntervals);
  EXPECT_EQ(one.intervals_per_row(), 1);
  EXPECT_THAT(one.intervals(0, 0, 1), ElementsAre(KeyInterval{1, 2}));
  EXPECT_THAT(one.intervals(0, 0, 2), ElementsAre(KeyInterval{0, 0}));
  const AttentionMask two = AttentionMask::window(4, 4, 0, 0) | AttentionMask::sink(4, 4, 1);
  EXPECT_EQ(two.intervals_per_row(), 2);
  EXPECT_THAT(two.intervals(0, 0, 1), ElementsAre(KeyInterval{0, 2}, KeyInterval{0, 0}));
  EXPECT_THAT(two.intervals(0, 0, 3), ElementsAre(KeyInterval{0, 1}, KeyInterval{3, 4}));
}

TEST(AttentionMask, KeepsBitsOnlyWhileARowNeedsThreeIntervals) {
  const AttentionMask mask = AttentionMask::bits(bits({1, 0, 1, 0, 1, 0}, {1, 6}));
  EXPECT_EQ(mask.form(), Form::kBits);
  EXPECT_THAT(std::span(mask.row_bits(0, 0, 0), 6), ElementsAre(1, 0, 1, 0, 1, 0));
  EXPECT_EQ((mask & AttentionMask::sink(1, 6, 4)).form(), Form::kIntervals);
  EXPECT_EQ((~mask).form(), Form::kBits);
  EXPECT_EQ((mask | ~mask).form(), Form::kIntervals);
}

TEST(AttentionMask, OfALongSequenceNeedsNoTableOfBits) {
  // A table would take 64 GiB.
  constexpr std::int64_t kSize = std::int64_t{1} << 18;
  const AttentionMask mask =
      (AttentionMask::window(kSize, kSize, 1, 0) | AttentionMask::sink(kSize, kSize, 1)) &
      AttentionMask::causal(kSize);
  EXPECT_EQ(mask.form(), Form::kIntervals);
  EXPECT_EQ(mask.kept(), 1 + 2 + 3 * (kSize - 2));
  EXPECT_EQ((~mask).kept(), kSize * kSize - mask.kept());
}

TEST(AttentionMask, TakesParametersFarBeyondItsSizes) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(rows(AttentionMask::window(2, 3, kMost, 0)), "100 110");
  EXPECT_EQ(rows(AttentionMask::window(2, 3, 0, kMost)), "111 011");
  EXPECT_EQ(rows(AttentionMask::causal(2, 3, kMost)), "111 111");
  EXPECT_EQ(rows(AttentionMask::causal(2, 3, -kMost - 1)), "000 000");
  EXPECT_EQ(rows(AttentionMask::prefix(2, 3, kMost)), "111 111");
  EXPECT_EQ(rows(AttentionMask::sink(2, 3, kMost)), "111 111");
}

TEST(AttentionMask, EqualsAnotherOfTheSameShapeAndPairsHoweverItWasMade) {
  const AttentionMask causal = AttentionMask::causal(2), copy = causal;
  EXPECT_TRUE(causal == copy);
  EXPECT_TRUE(causal == AttentionMask::bits(bits({1, 0, 1, 1}, {2, 2})));
  EXPECT_FALSE(causal == AttentionMask::bits(bits({1, 0, 1, 0}, {2, 2})));
  EXPECT_FALSE(AttentionMask::all(2, 3) == AttentionMask::all(3, 2));
  EXPECT_FALSE(AttentionMask::sink(2, 3, 1) == AttentionMask::sink(2, 4, 1));
  const AttentionMask batch = AttentionMask::bits(bits({1, 0, 1, 1, 1, 0, 1, 1}, {2, 1, 2, 2}));
  EXPECT_FALSE(causal == batch);
}

TEST(AttentionMask, SaysHowItWasMade) {
  const AttentionMask causal = AttentionMask::causal(4), window = AttentionMask::window(4, 4, 3, 0),
                      sink = AttentionMask::sink(4, 4, 2),
                      padding = AttentionMask::padding(holes({1, 1, 1, 0}, {1, 4}));
  EXPECT_EQ(AttentionMask::all(1, 1).recipe(), "all");
  EXPECT_EQ(causal.recipe(), "causal");
  EXPECT_EQ(AttentionMask::causal(2, 4, 2).recipe(), "causal(offset 2)");
  EXPECT_EQ(AttentionMask::prefix(4, 4, 4).recipe(), "prefix(4)");
  EXPECT_EQ(AttentionMask::segments(test::make({1}, {1, 1}, DType::kInt32)).recipe(), "segments");
  EXPECT_EQ(AttentionMask::bits(bits({1}, {1, 1})).recipe(), "bits");
  EXPECT_EQ((causal & padding).recipe(), "causal & padding");
  EXPECT_EQ((~causal).recipe(), "~causal");
  EXPECT_EQ((window | sink).recipe(), "window(3, 0) | sink(2)");
}

TEST(AttentionMask, PutsParenthesesWhereTheExpressionNeedsThem) {
  const AttentionMask a = AttentionMask::all(2, 2), c = AttentionMask::causal(2),
                      s = AttentionMask::sink(2, 2, 1);
  EXPECT_EQ(((a & c) | s).recipe(), "all & causal | sink(1)");
  EXPECT_EQ((a & (c | s)).recipe(), "all & (causal | sink(1))");
  EXPECT_EQ(((a | c) & s).recipe(), "(all | causal) & sink(1)");
  EXPECT_EQ((a & c & s).recipe(), "all & causal & sink(1)");
  EXPECT_EQ((~(a & c) & ~~s).recipe(), "~(all & causal) & ~~sink(1)");
}

TEST(AttentionMask, ShortensWhatItSaysOfALongExpression) {
  AttentionMask mask = AttentionMask::causal(2);
  for (int i = 0; i < 100; ++i) mask = mask | mask;
  EXPECT_LE(mask.recipe().size(), 205u);
  EXPECT_TRUE(mask == AttentionMask::causal(2));
  AttentionMask sum = AttentionMask::causal(2);
  for (int i = 0; i < 11; ++i) sum = sum | AttentionMask::causal(2);
  const AttentionMask sink = AttentionMask::sink(2, 2, 1);
  EXPECT_EQ((sum & sink).recipe(), "... & sink(1)");
  EXPECT_EQ((~sum | sink).recipe(), "~... | sink(1)");
}

TEST(AttentionMask, KeepsOneRunForEachQueryOfEachHead) {
  const auto of = [](const std::vector<double>& values) {
    return test::make(values, {2, 2, 2}, DType::kInt64);
  };
  const AttentionMask mask =
      AttentionMask::between(of({0, 1, 2, -9, 0, 0, 3, 1}), of({1, 3, 2, 9, 0, 3, 5, -1}), 3);
  EXPECT_EQ(mask.shape(), (Shape{2, 2, 2, 3}));
  const Tensor expected = bits({1,      0, 0, 0, 1, 1, /**/ 0, 0, 0, 1, 1, 1,
                                /**/ 0, 0, 0, 1, 1, 1, /**/ 0, 0, 0, 0, 0, 0},
                               {2, 2, 2, 3});
  EXPECT_TRUE(mask == AttentionMask::bits(expected));
  EXPECT_EQ(mask.recipe(), "between");
  EXPECT_EQ(mask.intervals_per_row(), 1);
}

// Several threads make masks of many samples; the last sample alone may decide the form.
TEST(AttentionMask, OfManySamplesIsTheSameOnAnyNumberOfThreads) {
  constexpr std::int64_t kBatch = 200, kSize = 20;
  for (const std::vector<double>& last : {std::vector<double>{0, 3}, std::vector<double>{0, 3, 9},
                                          std::vector<double>{0, 3, 9, 19}}) {
    Tensor keep = Tensor::zeros({kBatch, kSize}, DType::kBool);
    Tensor ids = Tensor::zeros({kBatch, kSize}, DType::kInt32);
    for (std::int64_t b = 0; b < kBatch; ++b) {
      std::fill_n(keep.data<bool>() + b * kSize, 1 + b % kSize, true);
      for (std::int64_t s = 0; s < kSize; ++s) {
        ids.data<std::int32_t>()[b * kSize + s] = static_cast<std::int32_t>(s / (1 + b % 7));
      }
    }
    bool* const row = keep.data<bool>() + (kBatch - 1) * kSize;
    std::fill_n(row, kSize, false);
    for (const double place : last) row[static_cast<std::size_t>(place)] = true;
    const auto make = [&] {
      const AttentionMask padding = AttentionMask::padding(SequenceMask(keep));
      return std::vector{padding,
                         AttentionMask::existing(SequenceMask(keep)),
                         AttentionMask::segments(ids),
                         ~padding,
                         padding & AttentionMask::segments(ids),
                         AttentionMask::bits(padding.to_bits())};
    };
    const std::vector<AttentionMask> one = make();
    EXPECT_EQ(one[0].form(), last.size() > 2 ? Form::kBits : Form::kIntervals);
    EXPECT_EQ(one[0].kept(),
              kSize * (std::count(keep.data<bool>(), keep.data<bool>() + keep.numel(), true)));
    EXPECT_TRUE(one[5] == one[0]);
    for (const int threads : {2, 3}) {
      const test::WithThreads more(threads);
      const std::vector<AttentionMask> several = make();
      for (std::size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(several[i] == one[i]) << i;
    }
  }
}

TEST(AttentionMask, OfHeadsMaySayWhatSamplesSee) {
  Random random(3);
  for (const double share : {0.2, 0.5, 1.0}) {  // as bits, as bits and as intervals
    const Tensor keep = test::random_bits(random, {3, 4, 5}, share);
    const AttentionMask heads = AttentionMask::bits(keep), samples = heads.heads_as_batch();
    EXPECT_EQ(samples.shape(), (Shape{3, 1, 4, 5}));
    EXPECT_TRUE(samples == AttentionMask::bits(keep.reshape({3, 1, 4, 5})));
    EXPECT_EQ(samples.kept(), heads.kept());
  }
  const AttentionMask causal = AttentionMask::causal(4);
  EXPECT_TRUE(causal.heads_as_batch() == causal);
}

}  // namespace
}  // namespace maskgrad
