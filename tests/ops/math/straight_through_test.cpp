#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/ops/math/activation.hpp>
#include <maskgrad/ops/math/straight_through.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::is_close;
using test::kInf;
using test::kNaN;
using test::leaf;
using test::make;
using test::to_doubles;
using ::testing::ElementsAre;

TEST(StraightThrough, DecidesAtZero) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Tensor x = make({-kInf, -2, -1e-30, -0.0, 0, 1e-30, 2, kInf}, {2, 4}, dtype);
    EXPECT_THAT(to_doubles(ops::straight_through(Variable(x)).value()),
                ElementsAre(0, 0, 0, 0, 0, 1, 1, 1));
    EXPECT_EQ(ops::straight_through(Variable(Tensor::empty({0, 3}, dtype))).shape(), Shape({0, 3}));
    EXPECT_TRUE(std::isnan(ops::straight_through(Variable(make({kNaN}, {}, dtype))).item()));
  }
}

// g s (1 - s) as a number of its own, not by the function that the operation calls.
TEST(StraightThrough, HasTheGradientOfSigmoid) {
  for (const DType dtype : test::kFloatingDTypes) {
    const std::vector<double> numbers = {-30, -2, -0.5, 0, 0.5, 2, 30};
    const Variable x = leaf(make(numbers, {7}, dtype));
    Tape tape;
    tape.backward(ops::straight_through(x), make({1, 1, 1, -3, 1, 2, 1}, {7}, dtype));
    std::vector<double> expected;
    for (const double l : numbers) {
      const double s = 1 / (1 + std::exp(-l)), g = l == 0 ? -3 : l == 2 ? 2 : 1;
      expected.push_back(g * s * (1 - s));
    }
    EXPECT_TRUE(is_close(x.grad(), expected));
  }
}

TEST(StraightThrough, SendsNothingToHoles) {
  const SequenceMask mask(test::bits({1, 0}, {1, 2}));
  const Variable x = leaf(make({1, kNaN}, {1, 2}), mask);
  Tape tape;
  const Variable y = ops::straight_through(x);
  EXPECT_TRUE(y.mask() == mask);
  tape.backward(y, make({1, kNaN}, {1, 2}));
  EXPECT_EQ(to_doubles(x.grad())[1], 0);
}

}  // namespace
}  // namespace maskgrad
