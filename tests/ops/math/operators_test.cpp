#include <gmock/gmock.h>

#include <maskgrad/ops/math/operators.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

// Found where no name of maskgrad is in scope.
namespace elsewhere {
maskgrad::Variable polynomial(const maskgrad::Variable& x) { return 2 * x * x - x / 4 + 1; }
}  // namespace elsewhere

namespace maskgrad {
namespace {

using test::error_of;
using test::leaf;
using test::make;
using test::same_bits;
using test::to_doubles;
using ::testing::ElementsAre;

TEST(Operators, ComputeOnVariablesAndOnNumbersOnEitherSide) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Variable a(make({8, -2}, {2}, dtype)), b(make({2, 4}, {2}, dtype));
    EXPECT_THAT(to_doubles((a + b).value()), ElementsAre(10, 2));
    EXPECT_THAT(to_doubles((a - b).value()), ElementsAre(6, -6));
    EXPECT_THAT(to_doubles((a * b).value()), ElementsAre(16, -8));
    EXPECT_THAT(to_doubles((a / b).value()), ElementsAre(4, -0.5));
    EXPECT_THAT(to_doubles((-a).value()), ElementsAre(-8, 2));
    EXPECT_THAT(to_doubles((a + 1).value()), ElementsAre(9, -1));
    EXPECT_THAT(to_doubles((1.5 + a).value()), ElementsAre(9.5, -0.5));
    EXPECT_THAT(to_doubles((a - 1).value()), ElementsAre(7, -3));
    EXPECT_THAT(to_doubles((1 - a).value()), ElementsAre(-7, 3));
    EXPECT_THAT(to_doubles((a * 0.5f).value()), ElementsAre(4, -1));
    EXPECT_THAT(to_doubles((3 * a).value()), ElementsAre(24, -6));
    EXPECT_THAT(to_doubles((a / 4).value()), ElementsAre(2, -0.5));
    EXPECT_THAT(to_doubles((4 / b).value()), ElementsAre(2, 1));
    EXPECT_EQ((4 / b).dtype(), dtype);
  }
}

TEST(Operators, HaveGradientsAndAreFoundWithoutAUsingDirective) {
  const Variable x = leaf(make({3, -1}, {2}));
  Tape tape;
  const Variable y = elsewhere::polynomial(x);
  EXPECT_THAT(to_doubles(y.value()), ElementsAre(18.25, 3.25));
  tape.backward(y, make({1, 1}, {2}));
  EXPECT_THAT(to_doubles(x.grad()), ElementsAre(4 * 3 - 0.25, -4 - 0.25));
}

TEST(Operators, MultiplyByANumberWithTheBitsOfMultiplyAndKeepNothingForIt) {
  for (const DType dtype : test::kFloatingDTypes) {
    for (const Scalar number : {Scalar(0.1), Scalar(-3), Scalar(1e-40), Scalar(test::kInf)}) {
      const Variable x = leaf(make({1, -2, 1e30, 0}, {4}, dtype));
      const Variable z = leaf(x.value());
      const Variable constant(Tensor::full({}, number, dtype));
      Tape tape;
      const Variable y = number * x, expected = ops::multiply(z, constant);
      EXPECT_EQ(tape.nodes()[0]->op().name, "scale");
      EXPECT_TRUE(same_bits(y.value(), expected.value()));
      EXPECT_TRUE(same_bits((x * number).value(), expected.value()));
      tape.backward(y + expected, make({1, 0.1, 3, -1}, {4}, dtype));
      EXPECT_TRUE(same_bits(x.grad(), z.grad()));
    }
  }
}

TEST(Operators, DivideByANumberAsDivideDoes) {
  const Variable x(make({1, 2, 5}, {3}, DType::kFloat32));
  EXPECT_TRUE(
      same_bits((x / 3).value(), ops::divide(x, Variable(make({3}, {}, DType::kFloat32))).value()));
}

TEST(Operators, KeepTheMask) {
  const SequenceMask mask(test::bits({1, 0}, {1, 2}));
  const Variable x(make({1, 2}, {1, 2}), Variable::kConstant, mask);
  for (const Variable& y : {x + 1, 1 - x, x * 2, 2 / x, -x}) EXPECT_TRUE(y.mask() == mask);
}

TEST(Operators, RefuseNumbersThatDoNotFitAndValuesThatAreNotThere) {
  const Variable x(make({1}, {1}, DType::kFloat32)), none;
  EXPECT_EQ(error_of([&] { return x * 1e39; }), "[scale] factor 1e+39 is no float32");
  EXPECT_EQ(error_of([&] { return (1 << 24 | 1) + x; }), "[add] the number 16777217 is no float32");
  EXPECT_EQ(error_of([&] { return x - none; }),
            "[subtract] input 'b' was used before it was given a value");
  EXPECT_EQ(error_of([&] { return none / 2; }),
            "[divide] an operand was used before it was given a value");
  EXPECT_EQ(error_of([&] { return -none; }),
            "[negate] input 'input' was used before it was given a value");
}

}  // namespace
}  // namespace maskgrad
