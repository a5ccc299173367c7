#include <vector>

#include <gmock/gmock.h>

#include <maskgrad/tensor/cuda/device_memory.hpp>
#include <maskgrad/tensor/mask/sequence_mask.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::bits;
using test::error_of;
using ::testing::ElementsAre;

TEST(SequenceMask, OfNothingSaysNothing) {
  const SequenceMask mask;
  EXPECT_FALSE(mask.defined());
  EXPECT_TRUE(mask == SequenceMask());
  EXPECT_FALSE(mask == SequenceMask(bits({1}, {1, 1})));
  EXPECT_FALSE(SequenceMask(bits({1}, {1, 1})) == mask);
}

// Whatever becomes of the tensor that it was made from.
TEST(SequenceMask, DoesNotChange) {
  Tensor source = bits({1, 0, 1, 1}, {2, 2});
  const SequenceMask mask(source), copy = mask, other(source);
  source.fill(0);
  EXPECT_THAT(mask.bits().values<bool>(), ElementsAre(true, false, true, true));
  EXPECT_TRUE(mask == copy);
  EXPECT_TRUE(mask == other);
  EXPECT_FALSE(mask == SequenceMask(source));
  EXPECT_EQ(SequenceMask(source).kept(), 0);
}

TEST(SequenceMask, TakesATensorThatNobodyElseHoldsAsItIs) {
  Tensor source = bits({1, 0}, {1, 2});
  const bool* memory = std::as_const(source).data<bool>();
  EXPECT_EQ(SequenceMask(std::move(source)).bits().data<bool>(), memory);
}

TEST(SequenceMask, HasItsBitsOnTheHost) {
  const SequenceMask mask(bits({1, 0}, {1, 2}));
  EXPECT_TRUE(mask.bits_on(Device{}).is_same_view(mask.bits()));
  EXPECT_FALSE(SequenceMask().bits_on(Device{}).defined());
  if (cuda_memory != nullptr) return;
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(error_of([&] {
                mask.bits_on({DeviceType::kCuda, 0});
              }),
              "[device] this build has no CUDA; configure with -DMASKGRAD_CUDA=ON");
  }
}

TEST(SequenceMask, IsOfNoUseOnceItsOwnBitsWereWrittenTo) {
  const SequenceMask mask(bits({1, 0, 1, 1}, {2, 2})), copy = mask;
  const std::string refused =
      "[sequence_mask] somebody wrote to the bits of a mask; clone() them, and make a mask of that";
  Tensor own = mask.bits();
  EXPECT_THAT(own.values<bool>(), ElementsAre(true, false, true, true));  // reading is no harm
  EXPECT_TRUE(mask == copy);
  own.data<bool>()[1] = true;
  EXPECT_EQ(error_of([&] { mask.bits(); }), refused);
  EXPECT_EQ(error_of([&] { return mask == copy; }), refused);
  EXPECT_EQ(error_of([&] { return mask == SequenceMask(bits({1, 1, 1, 1}, {2, 2})); }), refused);
}

TEST(SequenceMask, KeepsThePositionsWhoseTokenIsNotPadding) {
  const std::vector<double> ids = {5, 0, 7, 0, 0, 2};
  for (const DType dtype : {DType::kInt32, DType::kInt64}) {
    const SequenceMask mask = SequenceMask::from_tokens(test::make(ids, {2, 3}, dtype), 0);
    EXPECT_EQ(mask.shape(), (Shape{2, 3}));
    EXPECT_THAT(mask.bits().values<bool>(), ElementsAre(true, false, true, false, false, true));
    EXPECT_EQ(mask.kept(), 3);
    EXPECT_EQ(SequenceMask::from_tokens(test::make(ids, {2, 3}, dtype), -1).kept(), 6);
  }
}

TEST(SequenceMask, ComparesAPadThatDoesNotFitTheTokensWithoutCuttingIt) {
  const Tensor tokens = test::make({0, 1}, {1, 2}, DType::kInt32);
  EXPECT_EQ(SequenceMask::from_tokens(tokens, std::int64_t{1} << 32).kept(), 2);
}

TEST(SequenceMask, KeepsTheFirstPositionsOfEachLength) {
  const std::vector<std::int64_t> lengths = {0, 3, 1};
  const SequenceMask mask = SequenceMask::from_lengths(lengths, 3);
  EXPECT_THAT(mask.bits().values<bool>(), ElementsAre(0, 0, 0, 1, 1, 1, 1, 0, 0));
  EXPECT_EQ(mask.kept(), 4);
  EXPECT_EQ(SequenceMask::from_lengths({}, 3).shape(), (Shape{0, 3}));
}

TEST(SequenceMask, RefusesALengthOutOfRange) {
  const std::vector<std::int64_t> long_one = {2, 4}, negative = {-1};
  EXPECT_EQ(error_of([&] { SequenceMask::from_lengths(long_one, 3); }),
            "[sequence_mask] length 4 of row 1 is not in 0..3");
  EXPECT_EQ(error_of([&] { SequenceMask::from_lengths(negative, 3); }),
            "[sequence_mask] length -1 of row 0 is not in 0..3");
}

TEST(SequenceMask, RefusesWhatIsNotAMatrixOfBits) {
  EXPECT_EQ(error_of([] { SequenceMask(Tensor::zeros({3}, DType::kBool)); }),
            "[sequence_mask] needs bool [B, S], got bool (3,)");
  EXPECT_EQ(error_of([] {
              SequenceMask(Tensor::zeros({2, 3}, DType::kFloat32));
            }),
            "[sequence_mask] needs bool [B, S], got float32 (2, 3)");
  EXPECT_EQ(error_of([] {
              SequenceMask::from_tokens(Tensor::zeros({2, 3}, DType::kFloat32), 0);
            }),
            "[sequence_mask] does not take float32");
  EXPECT_EQ(error_of([] { SequenceMask::from_tokens(Tensor::zeros({3}, DType::kInt32), 0); }),
            "[sequence_mask] needs bool [B, S], got bool (3,)");
}

TEST(SequenceMask, EqualsAnotherWithTheSamePositions) {
  const SequenceMask mask(bits({1, 0, 1, 1}, {2, 2}));
  const SequenceMask copy = mask;
  EXPECT_TRUE(mask == copy);
  EXPECT_TRUE(mask == SequenceMask(bits({1, 0, 1, 1}, {2, 2})));
  EXPECT_FALSE(mask == SequenceMask(bits({1, 0, 1, 0}, {2, 2})));
  EXPECT_FALSE(mask == SequenceMask(bits({1, 0, 1, 1}, {1, 4})));
}

TEST(SequenceMask, LeavesOutASetOfTokens) {
  const std::int64_t stop_words[] = {0, 7, 9};
  const SequenceMask mask =
      SequenceMask::from_tokens(test::make({5, 0, 7, 9, 1, 2}, {2, 3}, DType::kInt64), stop_words);
  EXPECT_THAT(mask.bits().values<bool>(), ElementsAre(true, false, false, false, true, true));
}

TEST(SequenceMask, CombinesPositions) {
  const SequenceMask a(bits({0, 0, 1, 1}, {1, 4})), b(bits({0, 1, 0, 1}, {1, 4}));
  EXPECT_TRUE((a & b) == SequenceMask(bits({0, 0, 0, 1}, {1, 4})));
  EXPECT_TRUE((a | b) == SequenceMask(bits({0, 1, 1, 1}, {1, 4})));
  EXPECT_TRUE(~a == SequenceMask(bits({1, 1, 0, 0}, {1, 4})));
  EXPECT_EQ(error_of([&] {
              a& SequenceMask(bits({1}, {1, 1}));
            }),
            "[sequence_mask] positions differ: (1, 4) and (1, 1)");
  EXPECT_EQ(error_of([&] { a | SequenceMask(); }),
            "[sequence_mask] an operand that says nothing was used before it was given a value");
  EXPECT_EQ(error_of([&] { ~SequenceMask(); }),
            "[sequence_mask] an operand that says nothing was used before it was given a value");
}

TEST(MaskRule, HasAName) {
  EXPECT_EQ(to_string(MaskRule::kUnset), "-");
  EXPECT_EQ(to_string(MaskRule::kKeeps), "keeps");
  EXPECT_EQ(to_string(MaskRule::kUses), "uses");
  EXPECT_EQ(to_string(MaskRule::kMakes), "makes");
  EXPECT_EQ(to_string(MaskRule::kChanges), "changes");
  EXPECT_EQ(to_string(MaskRule::kEnds), "ends");
}

}  // namespace
}  // namespace maskgrad
