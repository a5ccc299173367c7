#include <gmock/gmock.h>

#include <maskgrad/ops/shape/concat.hpp>
#include <maskgrad/ops/shape/slice.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "ops/places.hpp"
#include "support/errors.hpp"
#include "support/tensors.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using ops::kToEnd;
using test::bits;
using test::counted;
using test::error_of;
using test::leaf;
using test::make;
using test::same_bits;
using test::to_doubles;
using ::testing::ElementsAre;

TEST(Slice, TakesWhatPythonDoesForEveryPartOfEveryAxis) {
  const Tensor x = counted({4, 3, 5});
  for (int axis = 0; axis < 3; ++axis) {
    const std::int64_t size = x.dim(axis);
    for (std::int64_t begin = 0; begin <= size; ++begin) {
      for (std::int64_t end = begin; end <= size; ++end) {
        for (std::int64_t step = 1; step <= 3; ++step) {
          std::vector<double> expected;
          std::int64_t count = 0;
          for (std::int64_t e = begin; e < end; e += step) ++count;
          const Shape shape = x.shape().with_dim(axis, count);
          for (std::int64_t i = 0; i < 4 * 3 * 5; ++i) {
            const std::int64_t at[] = {i / 15, i / 5 % 3, i % 5};
            if (at[axis] >= begin && at[axis] < end && (at[axis] - begin) % step == 0) {
              expected.push_back(static_cast<double>(i));
            }
          }
          const Variable y = ops::slice(Variable(x), axis, begin, end, step);
          ASSERT_EQ(y.shape(), shape);
          ASSERT_EQ(to_doubles(y.value()), expected) << axis << " " << begin << ":" << end;
        }
      }
    }
  }
}

TEST(Slice, CountsFromTheEndAndTakesEveryDtype) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat64, DType::kInt32, DType::kInt64}) {
    const Variable x(counted({5}, dtype));
    EXPECT_THAT(to_doubles(ops::slice(x, 0, -2).value()), ElementsAre(3, 4));
    EXPECT_THAT(to_doubles(ops::slice(x, -1, 1, -1).value()), ElementsAre(1, 2, 3));
    EXPECT_EQ(ops::slice(x, 0, 5).shape(), Shape{0});
  }
  EXPECT_THAT(to_doubles(ops::slice(Variable(bits({1, 0, 1}, {3})), 0, 1).value()),
              ElementsAre(0, 1));
  EXPECT_EQ(ops::slice(Variable(Tensor::zeros({0, 3}, DType::kFloat32)), 1, 0, 2).shape(),
            (Shape{0, 2}));
}

TEST(Slice, PutsTheGradientBackAndZeroElsewhere) {
  const Variable x = test::leaf_over_nan(counted({2, 5}));
  Tape tape;
  tape.backward(ops::slice(x, 1, 1, kToEnd, 2), make({1, 2, 3, 4}, {2, 2}));
  EXPECT_THAT(to_doubles(x.grad()), ElementsAre(0, 1, 0, 2, 0, 0, 3, 0, 4, 0));
}

TEST(Slice, TakesTheSamePartOfAMaskAndKeepsItAlongLaterAxes) {
  const SequenceMask mask(bits({1, 0, 1, 1, 1, 0}, {2, 3}));
  const Variable x(counted({2, 3, 4}), Variable::kConstant, mask);
  EXPECT_TRUE(ops::slice(x, 2, 1, 3).mask() == mask);
  EXPECT_TRUE(ops::slice(x, 1, 1).mask() == SequenceMask(bits({0, 1, 1, 0}, {2, 2})));
  EXPECT_TRUE(ops::slice(x, 1, 0, kToEnd, 2).mask() == SequenceMask(bits({1, 1, 1, 0}, {2, 2})));
  EXPECT_TRUE(ops::slice(x, 0, 1).mask() == SequenceMask(bits({1, 1, 0}, {1, 3})));
}

TEST(Slice, GivesTheSameOnAnyNumberOfThreads) {
  const Variable x(counted({50, 40, 30}));
  const Tensor one = ops::slice(x, 1, 1, 38, 3).value(), whole = ops::slice(x, 1, 3, 40).value();
  const test::WithThreads three(3);
  EXPECT_TRUE(same_bits(ops::slice(x, 1, 1, 38, 3).value(), one));
  EXPECT_TRUE(same_bits(ops::slice(x, 1, 3, 40).value(), whole));
}

TEST(Slice, RefusesWhatIsOutside) {
  const Variable x(counted({2, 5}));
  EXPECT_EQ(error_of([&] { ops::slice(x, 1, 2, 6); }),
            "[slice] 2:6 is no part of axis 1 of (2, 5): 0 <= begin <= end <= 5 must hold");
  EXPECT_EQ(error_of([&] { ops::slice(x, 1, -6); }),
            "[slice] -6:end is no part of axis 1 of (2, 5): 0 <= begin <= end <= 5 must hold");
  EXPECT_EQ(error_of([&] { ops::slice(x, -1, 3, 2); }),
            "[slice] 3:2 is no part of axis 1 of (2, 5): 0 <= begin <= end <= 5 must hold");
  EXPECT_EQ(error_of([&] { ops::slice(x, 0, 0, 1, 0); }),
            "[slice] the step must be at least 1, got 0");
  EXPECT_THAT(error_of([&] { ops::slice(x, 2, 0); }), ::testing::HasSubstr("axis"));
  constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
  EXPECT_THAT(
      error_of([&] { ops::slice(x, 0, kMin, kMin); }),
      ::testing::StartsWith("[slice] -9223372036854775808:-9223372036854775808 is no part"));
  EXPECT_EQ(ops::slice(x, 1, 1, kToEnd, kToEnd).shape(), (Shape{2, 1}));
}

TEST(Split, GivesPartsThatConcatPutsTogetherAgain) {
  const SequenceMask mask(bits({1, 0, 1, 1, 1, 0}, {2, 3}));
  for (const std::int64_t axis : {1, 2, -1}) {
    const Variable x = leaf(counted({2, 3, 3}), mask);
    Tape tape;
    const auto parts = ops::split(x, {1, 0, 2}, axis);
    ASSERT_EQ(parts.size(), 3U);
    EXPECT_EQ(parts[1].value().numel(), 0);
    const Variable y = ops::concat(parts, axis);
    EXPECT_TRUE(same_bits(y.value(), x.value()));
    EXPECT_TRUE(y.mask() == mask);
    tape.backward(y, Tensor::full({2, 3, 3}, 3, DType::kFloat64));
    EXPECT_THAT(to_doubles(x.grad()), ElementsAre(3, 3, 3, 0, 0, 0, 3, 3, 3,  //
                                                  3, 3, 3, 3, 3, 3, 0, 0, 0));
  }
}

TEST(Split, RefusesSizesThatDoNotAddUp) {
  const Variable x(counted({2, 5}));
  for (const std::initializer_list<std::int64_t> sizes :
       {std::initializer_list<std::int64_t>{2, 2}, {2, 4}, {-1, 6}, {}}) {
    EXPECT_THAT(error_of([&] { ops::split(x, sizes, 1); }),
                ::testing::EndsWith("do not add up to the 5 entries of axis 1 of (2, 5)"));
  }
  EXPECT_EQ(error_of([&] { ops::split({}, {1}, 0); }),
            "[split] the input was used before it was given a value");
}

}  // namespace
}  // namespace maskgrad
