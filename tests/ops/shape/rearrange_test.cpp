#include <array>

#include <gmock/gmock.h>

#include <maskgrad/ops/math/broadcast_plan.hpp>
#include <maskgrad/ops/shape/rearrange.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "ops/places.hpp"
#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::counted;
using test::error_of;
using test::leaf;
using test::make;
using test::to_doubles;
using ::testing::ElementsAre;

const SequenceMask kMask(test::bits({1, 0, 1, 1, 1, 0}, {2, 3}));

Variable masked(const Shape& shape) {
  return Variable(Tensor::zeros(shape, DType::kFloat32), Variable::kConstant, kMask);
}

TEST(Reshape, LeavesTheElementsWhereTheyAre) {
  const Variable x = leaf(counted({2, 3, 4}));
  Tape tape;
  const Variable y = ops::reshape(x, {2, -1});
  EXPECT_EQ(y.shape(), (Shape{2, 12}));
  EXPECT_EQ(y.value().raw_data(), x.value().raw_data());
  tape.backward(y, counted({2, 12}));
  EXPECT_TRUE(test::same_bits(x.grad(), counted({2, 3, 4})));
}

TEST(Reshape, TakesScalarsAndNothing) {
  EXPECT_EQ(ops::reshape(Variable(counted({1, 1})), {}).shape(), Shape{});
  EXPECT_EQ(ops::reshape(Variable(counted({})), {1, 1}).shape(), (Shape{1, 1}));
  EXPECT_EQ(ops::reshape(Variable(counted({0, 3})), {3, 0, 7}).shape(), (Shape{3, 0, 7}));
}

TEST(Reshape, RefusesAnotherNumberOfElements) {
  const Variable x(counted({2, 3}));
  EXPECT_EQ(error_of([&] {
              ops::reshape(x, {4, 2});
            }),
            "[reshape] (4, 2) does not have the 6 elements of (2, 3)");
  EXPECT_EQ(error_of([&] {
              ops::reshape(x, {4, -1});
            }),
            "[reshape] -1 cannot be chosen so that the shape holds 6 elements");
}

TEST(Reshape, KeepsAMaskWhosePositionsStay) {
  EXPECT_TRUE(ops::reshape(masked({2, 3, 4}), {2, 3, 2, 2}).mask() == kMask);
  EXPECT_TRUE(ops::reshape(masked({2, 3}), {2, 3, 1}).mask() == kMask);
  EXPECT_EQ(error_of([] {
              ops::reshape(masked({2, 3, 4}), {2, 12});
            }),
            "[reshape] would lose the mask: its output (2, 12) does not start with the positions "
            "(2, 3); use drop_mask() if it should end here");
}

// By the definition: element (i_p0, i_p1, ...) of y is element (i_0, i_1, ...) of x.
Tensor naive_permute(const Tensor& x, const std::vector<std::int64_t>& axes) {
  Shape shape;
  for (const std::int64_t axis : axes) shape = shape.concat({x.shape()[static_cast<int>(axis)]});
  Tensor y = Tensor::empty(shape, x.dtype());
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    std::array<std::int64_t, Shape::kMaxRank> index{};
    for (std::int64_t rest = i, axis = x.rank() - 1; axis >= 0; --axis) {
      index[static_cast<std::size_t>(axis)] = rest % x.shape()[static_cast<int>(axis)];
      rest /= x.shape()[static_cast<int>(axis)];
    }
    std::int64_t place = 0;
    for (const std::int64_t axis : axes) {
      place = place * x.shape()[static_cast<int>(axis)] + index[static_cast<std::size_t>(axis)];
    }
    y.data<double>()[place] = x.data<double>()[i];
  }
  return y;
}

TEST(Permute, MovesDimensions) {
  const std::pair<Shape, std::vector<std::int64_t>> cases[] = {
      {{}, {}},
      {{4}, {0}},
      {{2, 3}, {1, 0}},
      {{2, 3, 4}, {2, 0, 1}},
      {{2, 3, 4}, {0, 1, 2}},
      {{2, 3, 4, 5}, {0, 2, 1, 3}},
      {{2, 3, 4, 5}, {3, 2, 1, 0}},
      {{3, 0, 2}, {2, 1, 0}},
      {{1, 2, 1, 2, 1, 2, 1, 2}, {7, 6, 5, 4, 3, 2, 1, 0}},
  };
  for (const auto& [shape, axes] : cases) {
    const Variable x = leaf(counted(shape));
    Tape tape;
    const Variable y = ops::permute(x, axes);
    EXPECT_TRUE(test::same_bits(y.value(), naive_permute(x.value(), axes))) << to_string(shape);
    tape.backward(y, y.value());  // what comes back stands where it came from
    EXPECT_TRUE(test::same_bits(x.grad(), x.value())) << to_string(shape);
  }
}

TEST(Permute, TakesEveryTypeAndAxesFromTheEnd) {
  for (const DType dtype : {DType::kFloat32, DType::kInt32, DType::kInt64, DType::kBool}) {
    const Tensor x = make({0, 1, 1, 0, 0, 1}, {2, 3}, dtype);
    const std::vector<std::int64_t> axes = {-1, 0};
    EXPECT_THAT(to_doubles(ops::permuted(x, axes)), ElementsAre(0, 0, 1, 0, 1, 1));
  }
}

TEST(Permute, RefusesWhatIsNoPermutation) {
  const Variable x(counted({2, 3}));
  EXPECT_EQ(error_of([&] {
              ops::permute(x, {0, 0});
            }),
            "[permute] axes (0, 0) are not a permutation of the dimensions of (2, 3)");
  EXPECT_EQ(error_of([&] { ops::permute(x, {0}); }),
            "[permute] axes (0) are not a permutation of the dimensions of (2, 3)");
  EXPECT_EQ(error_of([&] {
              ops::permute(x, {0, 1, -1});
            }),
            "[permute] axes (0, 1, -1) are not a permutation of the dimensions of (2, 3)");
  EXPECT_EQ(error_of([&] {
              ops::permute(x, {0, 2});
            }),
            "[transpose] axis 2 is out of range for (2, 3)");
}

TEST(Permute, KeepsAMaskWhosePositionsStay) {
  EXPECT_TRUE(ops::permute(masked({2, 3, 4, 5}), {0, 1, 3, 2}).mask() == kMask);
  EXPECT_EQ(error_of([] {
              ops::permute(masked({2, 3, 4}), {0, 2, 1});
            }),
            "[permute] would move the positions of the mask; drop_mask() if it should end here");
  EXPECT_EQ(error_of([] {
              ops::permute(masked({2, 3}), {1, 0});
            }),
            "[permute] would move the positions of the mask; drop_mask() if it should end here");
}

TEST(BroadcastTo, RepeatsAndSumsBack) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Variable x = leaf(make({1, 2, 3}, {3, 1}, dtype));
    Tape tape;
    const Variable y = ops::broadcast_to(x, {2, 3, 2});
    EXPECT_THAT(to_doubles(y.value()), ElementsAre(1, 1, 2, 2, 3, 3, 1, 1, 2, 2, 3, 3));
    tape.backward(y, counted({2, 3, 2}, dtype));
    EXPECT_THAT(to_doubles(x.grad()), ElementsAre(0 + 1 + 6 + 7, 2 + 3 + 8 + 9, 4 + 5 + 10 + 11));
  }
}

TEST(BroadcastTo, RefusesWhatDoesNotFit) {
  const Variable x(counted({2, 3}));
  EXPECT_EQ(error_of([&] { ops::broadcast_to(x, {3}); }),
            "[broadcast_to] (2, 3) does not broadcast to (3,)");
  EXPECT_EQ(error_of([&] {
              ops::broadcast_to(x, {4, 3});
            }),
            "[broadcast_to] (2, 3) does not broadcast to (4, 3)");
}

TEST(BroadcastTo, KeepsAMaskWhosePositionsStay) {
  EXPECT_TRUE(ops::broadcast_to(masked({2, 3, 1}), {2, 3, 5}).mask() == kMask);
  EXPECT_EQ(error_of([] {
              ops::broadcast_to(masked({2, 3}), {2, 2, 3});
            }),
            "[broadcast_to] would lose the mask: broadcasting (2, 3) to (2, 2, 3) moves its "
            "positions; use drop_mask() if it should end here");
}

TEST(Expand, CopiesNothingWhenTheShapeIsTheSame) {
  const Tensor x = counted({2, 3});
  EXPECT_TRUE(ops::expand(x, {2, 3}).is_same_view(x));
  EXPECT_THAT(to_doubles(ops::expand(test::bits({1, 0}, {2, 1}), {2, 2})), ElementsAre(1, 1, 0, 0));
  EXPECT_EQ(ops::expand(counted({1, 3}), {0, 3}).numel(), 0);
}

TEST(BroadcastPlan, VisitsEveryElementOfTheOutputInOrder) {
  const ops::BroadcastPlan plan("test", {2, 1, 4}, {3, 1});
  EXPECT_EQ(plan.output(), (Shape{2, 3, 4}));
  std::int64_t next = 0;
  plan.for_each_element([&](std::int64_t a, std::int64_t b, std::int64_t y) {
    EXPECT_EQ(y, next++);
    EXPECT_EQ(a, y / 12 * 4 + y % 4);
    EXPECT_EQ(b, y / 4 % 3);
  });
  EXPECT_EQ(next, 24);
}

}  // namespace
}  // namespace maskgrad
