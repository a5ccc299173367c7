#include <gmock/gmock.h>

#include <maskgrad/ops/math/cube.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::make;
using test::to_doubles;
using ::testing::ElementsAre;

TEST(Cube, IsTheThirdPower) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Variable y = ops::cube(Variable(make({-2, 0, 3, test::kInf}, {2, 2}, dtype)));
    EXPECT_EQ(y.dtype(), dtype);
    EXPECT_EQ(y.shape(), (Shape{2, 2}));
    EXPECT_THAT(to_doubles(y.value()), ElementsAre(-8, 0, 27, test::kInf));
  }
  EXPECT_EQ(ops::cube(Variable(make({}, {0, 3}))).shape(), (Shape{0, 3}));
}

TEST(Cube, KeepsTheMaskAndSendsNothingThroughItsHoles) {
  const SequenceMask mask(test::bits({1, 0}, {1, 2}));
  const Variable x = test::leaf(make({2, test::kNaN}, {1, 2}), mask);
  Tape tape;
  const Variable y = ops::cube(x);
  EXPECT_TRUE(y.mask() == mask);
  tape.backward(y, make({10, 10}, {1, 2}));
  EXPECT_THAT(to_doubles(x.grad()), ElementsAre(120, 0));
}

TEST(Cube, RefusesIntegers) {
  EXPECT_EQ(test::error_of([] { ops::cube(Variable(make({1}, {1}, DType::kInt64))); }),
            "[cube] does not take int64");
}

}  // namespace
}  // namespace maskgrad
