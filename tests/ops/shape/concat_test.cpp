#include <gmock/gmock.h>

#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/ops/shape/concat.hpp>
#include <maskgrad/ops/shape/segments.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::bits;
using test::error_of;
using test::leaf;
using test::make;
using test::to_doubles;
using ::testing::ElementsAre;

TEST(Concat, PutsValuesOneAfterAnotherAlongAnyAxis) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat64, DType::kInt32, DType::kInt64}) {
    const Variable a(make({1, 2, 3, 4}, {2, 2}, dtype)), b(make({5, 6}, {1, 2}, dtype));
    EXPECT_THAT(to_doubles(ops::concat({a, b}, 0).value()), ElementsAre(1, 2, 3, 4, 5, 6));
    const Variable c(make({7, 8}, {2, 1}, dtype));
    EXPECT_THAT(to_doubles(ops::concat({c, a, c}, -1).value()),
                ElementsAre(7, 1, 2, 7, 8, 3, 4, 8));
  }
}

TEST(Concat, GivesEachValueItsPartOfTheGradient) {
  const Variable a = leaf(make({0, 0}, {2, 1})), b = leaf(make({0, 0, 0, 0}, {2, 2}));
  Tape tape;
  tape.backward(ops::concat({a, b, a}, 1), make({1, 2, 3, 4, 5, 6, 7, 8}, {2, 4}));
  EXPECT_THAT(to_doubles(a.grad()), ElementsAre(1 + 4, 5 + 8));
  EXPECT_THAT(to_doubles(b.grad()), ElementsAre(2, 3, 6, 7));
}

TEST(Concat, PutsMasksTogetherWherePositionsAre) {
  const SequenceMask mask(bits({1, 0, 1, 1}, {2, 2}));
  const Variable x(Tensor::zeros({2, 2, 3}, DType::kFloat32), Variable::kConstant, mask);
  const Variable whole(Tensor::zeros({2, 2, 3}, DType::kFloat32));
  EXPECT_TRUE(ops::concat({x, x}, 2).mask() == mask);
  EXPECT_TRUE(ops::concat({x, whole}, 1).mask() ==
              SequenceMask(bits({1, 0, 1, 1, 1, 1, 1, 1}, {2, 4})));
  EXPECT_TRUE(ops::concat({whole, x}, 0).mask() ==
              SequenceMask(bits({1, 1, 1, 1, 1, 0, 1, 1}, {4, 2})));
  EXPECT_FALSE(ops::concat({whole, whole}, 2).mask().defined());
}

TEST(Concat, ReadsASequenceInBothDirections) {
  const Tensor lengths = make({2, 3}, {2}, DType::kInt64);
  const Variable x(make({1, 2, 0, 3, 4, 5}, {2, 3, 1}), Variable::kConstant,
                   SequenceMask(bits({1, 1, 0, 1, 1, 1}, {2, 3})));
  const auto twice = [](const Variable& v) { return ops::scale(v, 2); };
  const auto turn = [&](const Variable& v) { return ops::reverse_packed_segs(v, lengths, true); };
  const Variable y = ops::concat({twice(x), turn(twice(turn(x)))}, 2);
  EXPECT_THAT(to_doubles(y.value()), ElementsAre(2, 2, 4, 4, 0, 0, 6, 6, 8, 8, 10, 10));
  EXPECT_TRUE(y.mask() == x.mask());
}

TEST(Concat, RefusesSizesThatDoNotAddUp) {
  const Variable x(Tensor::zeros({std::int64_t{1} << 59, 0}, DType::kFloat32));
  EXPECT_THAT(error_of([&] {
                ops::concat({x, x}, 0);
              }),
              ::testing::StartsWith("[shape] the dimensions of (1152921504606846976, 0)"));
}

TEST(Concat, RefusesWhatDoesNotFit) {
  const Variable a(Tensor::zeros({2, 2}, DType::kFloat32));
  EXPECT_EQ(error_of([] { ops::concat({}, 0); }),
            "[concat] needs one value at least, and no scalars");
  EXPECT_EQ(
      error_of([&] {
        ops::concat({a, Variable(Tensor::zeros({2, 3}, DType::kFloat32))}, 0);
      }),
      "[concat] values must be the same except along axis 0: float32 (2, 2) and float32 (2, 3)");
  EXPECT_EQ(
      error_of([&] {
        ops::concat({a, Variable(Tensor::zeros({2, 2}, DType::kFloat64))}, 0);
      }),
      "[concat] values must be the same except along axis 0: float32 (2, 2) and float64 (2, 2)");
  const Tensor zeros = Tensor::zeros({1, 2, 3}, DType::kFloat32);
  const Variable x(zeros, Variable::kConstant, SequenceMask(bits({1, 0}, {1, 2})));
  const Variable z(zeros, Variable::kConstant, SequenceMask(bits({0, 1}, {1, 2})));
  EXPECT_EQ(
      error_of([&] {
        ops::concat({x, z}, 2);
      }),
      "[concat] the inputs carry different masks: name intersect_masks() or unite_masks(), or "
      "drop_mask() one of them");
}

}  // namespace
}  // namespace maskgrad
