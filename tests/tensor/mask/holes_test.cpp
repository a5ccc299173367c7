#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/tensor/mask/holes.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::bits;
using test::error_of;
using test::kNaN;
using test::make;
using test::to_doubles;
using ::testing::ElementsAre;

TEST(FillHoles, WritesEveryFeatureOfAPositionThatIsNotKept) {
  const SequenceMask mask(test::bits({1, 0, 0, 1}, {2, 2}));
  Tensor x = make({1, 2, 3, 4, 5, 6, 7, 8}, {2, 2, 2});
  fill_holes(x, mask, -1);
  EXPECT_THAT(to_doubles(x), ElementsAre(1, 2, -1, -1, -1, -1, 7, 8));
  Tensor tokens = make({1, 2, 3, 4}, {2, 2}, DType::kInt32);
  fill_holes(tokens, mask, 0);
  EXPECT_THAT(to_doubles(tokens), ElementsAre(1, 0, 0, 4));
}

TEST(FillHoles, OverwritesNotANumber) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  Tensor x = make({nan, nan}, {1, 2});
  fill_holes(x, SequenceMask(test::bits({0, 0}, {1, 2})), 0);
  EXPECT_THAT(to_doubles(x), ElementsAre(0, 0));
}

TEST(FillHoles, TakesEmptyBatchesAndNoFeatures) {
  Tensor no_batch = Tensor::zeros({0, 2, 3}, DType::kFloat32);
  fill_holes(no_batch, SequenceMask(Tensor::zeros({0, 2}, DType::kBool)), 1);
  Tensor no_features = Tensor::zeros({1, 2, 0}, DType::kFloat32);
  fill_holes(no_features, SequenceMask(Tensor::zeros({1, 2}, DType::kBool)), 1);
}

TEST(FillHoles, RefusesAMaskOfOtherPositions) {
  Tensor x = Tensor::zeros({2, 3}, DType::kFloat32);
  const SequenceMask mask(test::bits({0, 0}, {1, 2}));
  const std::string refusal = "[mask] a mask of (1, 2) does not fit a value of (2, 3)";
  EXPECT_EQ(error_of([&] { fill_holes(x, mask, 0); }), refusal);
  EXPECT_EQ(error_of([&] { holes_hold(x, mask, 0); }), refusal);
  EXPECT_EQ(error_of([&] { holes_are_finite(x, mask); }), refusal);
}

TEST(WithoutHoles, IsTheValueItselfWhereNothingIsMasked) {
  const Tensor x = make({1, 2, 3, 4}, {1, 2, 2});
  EXPECT_TRUE(without_holes(x, {}).is_same_view(x));
  const SequenceMask mask(bits({0, 1}, {1, 2}));
  EXPECT_THAT(to_doubles(without_holes(x, mask)), ElementsAre(0, 0, 3, 4));
  EXPECT_THAT(to_doubles(x), ElementsAre(1, 2, 3, 4));
}

TEST(HolesHold, LooksAtHolesAloneAndBitForBit) {
  const SequenceMask mask(bits({0, 1}, {1, 2}));
  EXPECT_TRUE(holes_hold(make({0, 0, 3, 4}, {1, 2, 2}), mask, 0));
  EXPECT_FALSE(holes_hold(make({0, 1, 3, 4}, {1, 2, 2}), mask, 0));
  EXPECT_FALSE(holes_hold(make({0, -0.0, 3, 4}, {1, 2, 2}), mask, 0));
  EXPECT_FALSE(holes_hold(make({0, kNaN, 3, 4}, {1, 2, 2}), mask, 0));
  EXPECT_TRUE(holes_hold(make({}, {0, 2, 2}), SequenceMask(bits({}, {0, 2})), 5));
}

TEST(HolesAreFinite, LooksAtEveryElementOfAHoleAndNowhereElse) {
  const SequenceMask mask(bits({1, 0, 0, 1}, {2, 2}));
  for (const DType dtype : test::kFloatingDTypes) {
    for (const double poison : {test::kInf, -test::kInf, kNaN}) {
      for (std::int64_t i = 0; i < 12; ++i) {
        Tensor x = Tensor::full({2, 2, 3}, -2, dtype);
        EXPECT_TRUE(holes_are_finite(x, mask));
        x.view(i, {}).fill(poison);
        EXPECT_EQ(holes_are_finite(x, mask), i / 3 == 0 || i / 3 == 3) << poison << " at " << i;
      }
    }
  }
}

TEST(HolesAreFinite, TakesTheLargestAndTheSmallestNumbersAndNoneAtAll) {
  const SequenceMask all(bits({0, 0}, {1, 2}));
  for (const double x : {std::numeric_limits<double>::max(), -std::numeric_limits<double>::max(),
                         std::numeric_limits<double>::denorm_min(), -0.0}) {
    EXPECT_TRUE(holes_are_finite(make({x, x}, {1, 2}), all)) << x;
  }
  EXPECT_TRUE(holes_are_finite(make({}, {0, 2, 2}), SequenceMask(bits({}, {0, 2}))));
  EXPECT_TRUE(holes_are_finite(make({}, {1, 2, 0}), all));
}

TEST(IsHole, GoesByThePositionOfAnElement) {
  const SequenceMask mask(bits({0, 1}, {1, 2}));
  std::vector<bool> holes;
  for (std::int64_t i = 0; i < 4; ++i) holes.push_back(is_hole(mask, {1, 2, 2}, i));
  EXPECT_THAT(holes, ElementsAre(true, true, false, false));
  EXPECT_FALSE(is_hole({}, {1, 2, 2}, 0));
}

}  // namespace
}  // namespace maskgrad
