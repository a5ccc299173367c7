#include <gmock/gmock.h>

#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::bits;
using test::error_of;
using test::is_close;
using test::kInf;
using test::kNaN;
using test::leaf;
using test::make;
using test::to_doubles;
using ::testing::ElementsAre;

TEST(Where, ChoosesForElementsOfEveryDtype) {
  for (const DType dtype : test::kEveryDType) {
    const Variable a(make({0, 1, 1, 0}, {2, 2}, dtype)), b(make({1, 0}, {2}, dtype));
    const Tensor y = ops::where(bits({1, 0, 0, 1}, {2, 2}), a, b).value();
    EXPECT_EQ(y.dtype(), dtype);
    EXPECT_THAT(to_doubles(y), ElementsAre(0, 0, 1, 0));
  }
  const Variable large(Tensor::from<std::int64_t>({(std::int64_t{1} << 53) + 1}, {1}));
  EXPECT_EQ(ops::where(bits({1}, {1}), large, large).value().item<std::int64_t>(),
            (std::int64_t{1} << 53) + 1);
}

TEST(Where, BroadcastsAllThree) {
  const Variable a(make({1, 2, 3}, {3})), b(make({-1, -2}, {2, 1}));
  const Variable y = ops::where(bits({1, 0}, {2, 1, 1}), a, b);
  EXPECT_EQ(y.shape(), (Shape{2, 2, 3}));
  EXPECT_THAT(to_doubles(y.value()), ElementsAre(1, 2, 3, 1, 2, 3, -1, -1, -1, -2, -2, -2));
  EXPECT_EQ(ops::where(bits({1}, {}), a, b).shape(), (Shape{2, 3}));
  const Variable none(Tensor::zeros({0, 1}, DType::kFloat64));
  EXPECT_EQ(ops::where(bits({1, 0, 1}, {3}), none, none).shape(), (Shape{0, 3}));
}

TEST(Where, SendsTheGradientToTheChosenAndExactlyZeroToTheOther) {
  const Variable a = leaf(make({1, kNaN}, {2})), b = leaf(make({kInf, 2}, {2}));
  Tape tape;
  const Variable y = ops::where(bits({1, 0}, {2}), a, b);
  EXPECT_THAT(to_doubles(y.value()), ElementsAre(1, 2));
  tape.backward(y, make({kInf, -5}, {2}));
  EXPECT_THAT(to_doubles(a.grad()), ElementsAre(kInf, 0));
  EXPECT_THAT(to_doubles(b.grad()), ElementsAre(0, -5));
}

TEST(Where, SumsTheGradientOfWhatWasRepeated) {
  const Variable a = leaf(make({7}, {})), b = leaf(make({1, 2, 3}, {3}));
  Tape tape;
  tape.backward(ops::where(bits({1, 0, 1, 0, 1, 0}, {2, 3}), a, b),
                make({1, 2, 3, 4, 5, 6}, {2, 3}));
  EXPECT_THAT(to_doubles(a.grad()), ElementsAre(1 + 3 + 5));
  EXPECT_THAT(to_doubles(b.grad()), ElementsAre(4, 2, 6));
}

TEST(Where, KeepsTheOneMaskOfItsInputs) {
  const SequenceMask mask(bits({1, 0}, {1, 2})), other(bits({0, 1}, {1, 2}));
  const Tensor value = make({1, 2}, {1, 2});
  const Variable x(value, {}, mask), z(value, {}, other), plain(value);
  EXPECT_TRUE(ops::where(bits({1}, {}), x, plain).mask() == mask);
  EXPECT_TRUE(ops::where(bits({1, 0}, {2}), plain, x).mask() == mask);
  EXPECT_THAT(error_of([&] { ops::where(bits({1}, {}), x, z); }),
              ::testing::StartsWith("[where] the inputs carry different masks"));
  const Variable cube(Tensor::zeros({1, 2, 1, 2}, DType::kFloat64));
  EXPECT_EQ(error_of([&] { ops::where(bits({1}, {}), cube, x); }),
            "[where] would lose the mask: broadcasting (1, 2) to (1, 2, 1, 2) moves its positions; "
            "use drop_mask() if it should end here");
}

TEST(Where, RefusesWhatDoesNotFit) {
  const Variable a(make({1, 2}, {2})), single(make({1, 2}, {2}, DType::kFloat32));
  EXPECT_EQ(error_of([&] { ops::where(a.value(), a, a); }),
            "[where] the condition must be bool, got float64");
  EXPECT_EQ(error_of([&] { ops::where(bits({1}, {}), a, single); }),
            "[where] a is float64 and b float32, they must be the same");
  EXPECT_EQ(error_of([&] {
              ops::where(bits({1, 1, 0}, {3}), a, a);
            }),
            "[where] shapes do not broadcast: (3,) and (2,)");
}

}  // namespace
}  // namespace maskgrad
