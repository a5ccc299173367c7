#include <gtest/gtest.h>

#include <maskgrad/tensor/random.hpp>
#include <maskgrad/tensor/shape.hpp>

#include "support/errors.hpp"

namespace maskgrad {
namespace {

using test::error_of;

TEST(Shape, OfAScalarIsEmptyAndHoldsOneElement) {
  const Shape scalar;
  EXPECT_EQ(scalar.rank(), 0);
  EXPECT_EQ(scalar.numel(), 1);
  EXPECT_EQ(scalar, Shape{});
  EXPECT_TRUE(scalar.dims().empty());
}

TEST(Shape, MultipliesItsDimensions) {
  EXPECT_EQ((Shape{2, 3, 4}).numel(), 24);
  EXPECT_EQ((Shape{2, 0, 4}).numel(), 0);
  EXPECT_EQ((Shape{1, 1, 1, 1, 1, 1, 1, 7}).numel(), 7);
}

TEST(Shape, OfNothingHoldsNothingBesideLargeDimensions) {
  const std::int64_t large = std::int64_t{1} << 29;
  EXPECT_EQ((Shape{large, 2 * large, 0}).numel(), 0);
  EXPECT_EQ((Shape{0, large, 2 * large}).numel(), 0);
}

// Kernels multiply some of the dimensions of a shape, in any order.
TEST(Shape, HasDimensionsOfWhichNoProductOverflows) {
  const std::int64_t large = std::int64_t{1} << 30;
  EXPECT_EQ((Shape{Shape::kMostElements}).numel(), std::int64_t{1} << 59);
  EXPECT_EQ(error_of([] { Shape{Shape::kMostElements + 1}; }),
            "[shape] the dimensions of (576460752303423489,) multiply to more than 2^59");
  EXPECT_EQ(error_of([&] {
              Shape{large, 0, large};
            }),
            "[shape] the dimensions of (1073741824, 0, 1073741824) multiply to more than 2^59, the "
            "zeros left out");
  EXPECT_EQ(error_of([&] {
              (Shape{large, 0}).concat({large});
            }),
            "[shape] the dimensions of (1073741824, 0, 1073741824) multiply to more than 2^59, the "
            "zeros left out");
}

TEST(Shape, RefusesWhatItCannotHold) {
  EXPECT_EQ(error_of([] { Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}; }),
            "[shape] 9 dimensions are more than the 8 supported");
  EXPECT_EQ(error_of([] { Shape{2, -1}; }), "[shape] dimensions must not be negative: -1");
  const std::int64_t large = std::int64_t{1} << 32;
  EXPECT_EQ(error_of([&] {
              Shape{large, large};
            }),
            "[shape] the dimensions of (4294967296, 4294967296) multiply to more than 2^59");
}

TEST(Shape, CountsNegativeAxesFromTheEnd) {
  const Shape shape{5, 6, 7};
  EXPECT_EQ(shape.dim(0), 5);
  EXPECT_EQ(shape.dim(-1), 7);
  EXPECT_EQ(shape.dim(-3), 5);
  EXPECT_EQ(shape.normalize(-2), 1);
  EXPECT_EQ(error_of([&] { shape.dim(3); }), "[shape] axis 3 is out of range for (5, 6, 7)");
  EXPECT_EQ(error_of([&] { shape.normalize(-4); }),
            "[shape] axis -4 is out of range for (5, 6, 7)");
  EXPECT_EQ(error_of([&] { shape.normalize(std::int64_t{1} << 32); }),
            "[shape] axis 4294967296 is out of range for (5, 6, 7)");
  EXPECT_EQ(error_of([] { Shape().dim(0); }), "[shape] axis 0 is out of range for ()");
}

TEST(Shape, IsTakenApartAndPutTogether) {
  const Shape shape{5, 6, 7};
  EXPECT_EQ(shape.slice(1, 3), (Shape{6, 7}));
  EXPECT_EQ(shape.slice(1, 1), Shape{});
  EXPECT_EQ(shape.with_dim(-1, 0), (Shape{5, 6, 0}));
  EXPECT_EQ(shape.with_dim(-1, 0).numel(), 0);
  EXPECT_EQ(shape.slice(0, 1).concat(shape.slice(1, 3)), shape);
  EXPECT_EQ(shape.concat({}), shape);
  EXPECT_EQ(error_of([&] {
              shape.concat({1, 1, 1, 1, 1, 1});
            }),
            "[shape] (5, 6, 7) and (1, 1, 1, 1, 1, 1) together have too many dimensions");
}

TEST(Shape, HasNoDimensionsBeyondItsOwn) {
  const Shape shape{5, 6, 7};
  EXPECT_EQ(error_of([&] { shape.slice(1, 4); }), "[shape] (5, 6, 7) has no dimensions [1, 4)");
  EXPECT_EQ(error_of([&] { shape.slice(-1, 2); }), "[shape] (5, 6, 7) has no dimensions [-1, 2)");
  EXPECT_EQ(error_of([&] { shape.slice(2, 1); }), "[shape] (5, 6, 7) has no dimensions [2, 1)");
}

TEST(Shape, EqualsAnotherByTheDimensionsInUseOnly) {
  EXPECT_EQ((Shape{5, 6, 7}).slice(0, 2), (Shape{5, 6}));
  EXPECT_NE((Shape{5, 6}), (Shape{5, 6, 1}));
  EXPECT_NE((Shape{5, 6}), (Shape{6, 5}));
  EXPECT_NE(Shape{}, (Shape{0}));
}

TEST(Shape, StartsWithItsHead) {
  const Shape shape{5, 6, 7};
  EXPECT_TRUE(shape.starts_with({}));
  EXPECT_TRUE(shape.starts_with({5, 6}));
  EXPECT_TRUE(shape.starts_with(shape));
  EXPECT_FALSE(shape.starts_with({6}));
  EXPECT_FALSE(shape.starts_with({5, 6, 7, 1}));
}

TEST(Shape, IsWrittenAsATuple) {
  EXPECT_EQ(to_string(Shape{}), "()");
  EXPECT_EQ(to_string(Shape{4}), "(4,)");
  EXPECT_EQ(to_string(Shape{2, 20, 15}), "(2, 20, 15)");
  EXPECT_EQ(fmt::format("<{}>", Shape{2, 0}), "<(2, 0)>");
}

TEST(Broadcast, FollowsTheRuleOfNumPy) {
  EXPECT_EQ(broadcast("t", {}, {}), Shape{});
  EXPECT_EQ(broadcast("t", {2, 3}, {}), (Shape{2, 3}));
  EXPECT_EQ(broadcast("t", {2, 3}, {3}), (Shape{2, 3}));
  EXPECT_EQ(broadcast("t", {3, 1}, {2, 1, 4}), (Shape{2, 3, 4}));
  EXPECT_EQ(broadcast("t", {2, 0}, {1}), (Shape{2, 0}));
  EXPECT_EQ(broadcast("t", {1}, {0}), (Shape{0}));
  EXPECT_EQ(error_of([] {
              broadcast("add", {2, 3}, {4});
            }),
            "[add] shapes do not broadcast: (2, 3) and (4,)");
  EXPECT_EQ(error_of([] { broadcast("add", {0}, {2}); }),
            "[add] shapes do not broadcast: (0,) and (2,)");
}

TEST(Broadcast, IsSymmetricAndBothOperandsReachTheResult) {
  Random random(3);
  for (int round = 0; round < 200; ++round) {
    Shape a, b;
    const int rank = static_cast<int>(random.below(5));
    for (int axis = 0; axis < rank; ++axis) {
      const std::int64_t size = random.integer(0, 4);
      a = a.concat({random.coin() ? size : 1});
      b = b.concat({random.coin() ? size : 1});
    }
    b = b.slice(static_cast<int>(random.integer(0, rank)), rank);
    const Shape both = broadcast("t", a, b);
    EXPECT_EQ(both, broadcast("t", b, a));
    EXPECT_TRUE(can_broadcast(a, both)) << to_string(a) << " " << to_string(both);
    EXPECT_TRUE(can_broadcast(b, both)) << to_string(b) << " " << to_string(both);
  }
}

TEST(CanBroadcast, StretchesTheFirstOnly) {
  EXPECT_TRUE(can_broadcast({}, {2, 3}));
  EXPECT_TRUE(can_broadcast({1, 3}, {2, 3}));
  EXPECT_TRUE(can_broadcast({1}, {0}));
  EXPECT_FALSE(can_broadcast({2, 3}, {3}));
  EXPECT_FALSE(can_broadcast({2, 3}, {1, 3}));
  EXPECT_FALSE(can_broadcast({2}, {3}));
}

TEST(InferShape, FillsInTheUnknownDimension) {
  const auto infer = [](std::initializer_list<std::int64_t> dims, std::int64_t numel) {
    return infer_shape("reshape", std::span(dims.begin(), dims.size()), numel);
  };
  EXPECT_EQ(infer({2, -1, 3}, 24), (Shape{2, 4, 3}));
  EXPECT_EQ(infer({-1}, 0), (Shape{0}));
  EXPECT_EQ(infer({-1, 3}, 0), (Shape{0, 3}));
  EXPECT_EQ(infer({2, 3}, 7), (Shape{2, 3}));  // nothing to infer; the caller compares
  const std::string refusal = "[reshape] -1 cannot be chosen so that the shape holds 24 elements";
  EXPECT_EQ(error_of([&] { infer({-1, -1}, 24); }), refusal);
  EXPECT_EQ(error_of([&] { infer({5, -1}, 24); }), refusal);
  EXPECT_EQ(error_of([&] { infer({0, -1}, 24); }), refusal);
  EXPECT_EQ(error_of([&] {
              infer({1, 1, 1, 1, 1, 1, 1, 1, -1}, 1);
            }),
            "[reshape] 9 dimensions are too many");
}

}  // namespace
}  // namespace maskgrad
