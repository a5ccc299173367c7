#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/math/elementwise.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::kInf;
using test::kNaN;
using test::leaf;
using test::make;
using test::to_doubles;
using ::testing::ElementsAre;

const SequenceMask kMask(test::bits({1, 0, 1}, {1, 3}));
const SequenceMask kOther(test::bits({1, 1, 0}, {1, 3}));

TEST(KeepWhere, WritesTheFillWhereTheMaskIsFalse) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Variable x(make({kNaN, 1, kInf, 2, 3, -kInf}, {2, 3}, dtype));
    const auto kept = [&](const Tensor& keep, double fill) {
      const Tensor y = ops::keep_where(x, keep, fill).value();
      EXPECT_EQ(y.shape(), (Shape{2, 3}));
      EXPECT_EQ(y.dtype(), dtype);
      return y;
    };
    EXPECT_THAT(to_doubles(kept(test::bits({0, 1, 0, 1, 1, 0}, {2, 3}), -7)),
                ElementsAre(-7, 1, -7, 2, 3, -7));
    EXPECT_THAT(to_doubles(kept(test::bits({0, 1, 0}, {3}), 0)), ElementsAre(0, 1, 0, 0, 3, 0));
    EXPECT_TRUE(
        test::is_close(kept(test::bits({0, 1}, {2, 1}), kNaN), {kNaN, kNaN, kNaN, 2, 3, -kInf}));
    EXPECT_THAT(to_doubles(kept(test::bits({0}, {}), 4)), ElementsAre(4, 4, 4, 4, 4, 4));
    EXPECT_TRUE(test::same_bits(kept(test::bits({1}, {}), 4), x.value()));
  }
}

TEST(KeepWhere, SendsTheGradientBackWhereItKept) {
  const Variable x = leaf(make({kNaN, 1, kInf, 2, 3, -kInf}, {2, 3}));
  Tape tape;
  const Variable y = ops::keep_where(x, test::bits({0, 1, 0}, {3}));
  tape.backward(y, make({kNaN, 5, kInf, -kInf, 6, kNaN}, {2, 3}));
  EXPECT_TRUE(test::same_bits(x.grad(), make({0, 5, 0, 0, 6, 0}, {2, 3})));
}

TEST(WithMask, ThatSaysNothingGivesTheValueItself) {
  const Variable x = leaf(make({1, 2, 3}, {1, 3}));
  for (const double fill : {0.0, 7.0}) {
    const Variable y = ops::with_mask(x, {}, fill);
    EXPECT_TRUE(y.value().is_same_view(x.value()));
    EXPECT_EQ(y.gradient(), x.gradient());
    EXPECT_FALSE(y.mask().defined());
  }
  const Variable masked(x.value(), {}, kMask);
  EXPECT_TRUE(ops::with_mask(masked, {}).mask() == kMask);
  const Variable flat(make({1, 2}, {2}));  // has no place for a mask
  EXPECT_TRUE(ops::with_mask(flat, {}).value().is_same_view(flat.value()));
}

TEST(KeepWhere, TakesNothingAndScalars) {
  EXPECT_EQ(ops::keep_where(Variable(make({}, {0, 3})), test::bits({1, 0, 1}, {3})).shape(),
            (Shape{0, 3}));
  EXPECT_EQ(ops::keep_where(Variable(make({2}, {})), test::bits({1}, {})).item(), 2);
}

TEST(KeepWhere, KeepsTheMaskOfItsInput) {
  const Variable x(make({1, 2, 3}, {1, 3}), {}, kMask);
  EXPECT_TRUE(ops::keep_where(x, test::bits({0}, {})).mask() == kMask);
}

TEST(KeepWhere, RefusesAMaskThatDoesNotFit) {
  const Variable x(Tensor::zeros({2, 3}, DType::kFloat32));
  EXPECT_EQ(error_of([&] { ops::keep_where(x, Tensor::zeros({2}, DType::kBool)); }),
            "[keep_where] a mask of bool (2,) does not fit an input of (2, 3)");
  EXPECT_EQ(error_of([&] {
              ops::keep_where(x, Tensor::zeros({1, 2, 3}, DType::kBool));
            }),
            "[keep_where] a mask of bool (1, 2, 3) does not fit an input of (2, 3)");
  EXPECT_EQ(error_of([&] { ops::keep_where(x, Tensor::zeros({3}, DType::kInt32)); }),
            "[keep_where] a mask of int32 (3,) does not fit an input of (2, 3)");
}

TEST(WithMask, WritesTheHolesAndLetsTheMaskFollow) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Variable x = leaf(make({1, 2, kNaN, kInf, 5, 6}, {1, 3, 2}, dtype));
    Tape tape;
    const Variable y = ops::with_mask(x, kMask, -1);
    EXPECT_TRUE(y.mask() == kMask);
    EXPECT_FALSE(x.mask().defined());
    EXPECT_THAT(to_doubles(y.value()), ElementsAre(1, 2, -1, -1, 5, 6));
    EXPECT_TRUE(std::isnan(to_doubles(x.value())[2])) << "the input was written to";
    const Variable z = ops::exp(y);
    EXPECT_TRUE(z.mask() == kMask);
    tape.backward(y, make({1, 2, kNaN, kInf, 5, 6}, {1, 3, 2}, dtype));
    EXPECT_TRUE(test::same_bits(x.grad(), make({1, 2, 0, 0, 5, 6}, {1, 3, 2}, dtype)));
  }
}

TEST(WithMask, RefusesASecondMaskAndOneThatDoesNotFit) {
  const Variable x(make({1, 2, 3}, {1, 3}), {}, kMask);
  EXPECT_TRUE(ops::with_mask(x, kMask).mask() == kMask);
  EXPECT_EQ(error_of([&] { ops::with_mask(x, kOther); }),
            "[with_mask] the input carries a mask already that leaves out some of these positions; "
            "give what is in both, x.mask() & mask, or drop_mask() it first");
  EXPECT_TRUE(ops::with_mask(x, x.mask() & kOther).mask() == (kMask & kOther));
  EXPECT_TRUE(ops::with_mask(drop_mask(x), kOther).mask() == kOther);
  EXPECT_EQ(error_of([] {
              ops::with_mask(Variable(make({1, 2}, {1, 2})), kMask);
            }),
            "[mask] a mask of (1, 3) does not fit a value of (1, 2)");
  EXPECT_EQ(error_of([] {
              ops::with_mask(Variable(make({1, 2, 3}, {3})), kMask);
            }),
            "[mask] a mask of (1, 3) does not fit a value of (3,)");
}

TEST(FillMasked, WritesTheHolesOfItsOwnMaskAndEndsIt) {
  const Variable x = leaf(make({1, kNaN, 3}, {1, 3}), kMask);
  Tape tape;
  const Variable y = ops::fill_masked(x, 9);
  EXPECT_THAT(to_doubles(y.value()), ElementsAre(1, 9, 3));
  EXPECT_FALSE(y.mask().defined());
  tape.backward(y, make({4, kNaN, 6}, {1, 3}));
  EXPECT_THAT(to_doubles(x.grad()), ElementsAre(4, 0, 6));
}

TEST(FillMasked, LeavesAValueWithoutAMaskAlone) {
  const Variable x = leaf(make({1, kNaN, 3}, {1, 3}));
  EXPECT_TRUE(ops::fill_masked(x, 9).value().is_same_view(x.value()));
}

TEST(KeepWhere, SelectsFromAnyDType) {
  const Tensor keep = test::bits({1, 0, 1}, {3});
  for (const DType dtype : {DType::kInt32, DType::kInt64, DType::kFloat32, DType::kFloat64}) {
    const Tensor y = ops::keep_where(Variable(make({4, 5, -6}, {3}, dtype)), keep, -7).value();
    EXPECT_EQ(y.dtype(), dtype);
    EXPECT_THAT(to_doubles(y), ElementsAre(4, -7, -6));
  }
  const Variable flags(test::bits({1, 0, 0}, {3}));
  EXPECT_THAT(to_doubles(ops::keep_where(flags, keep, 1).value()), ElementsAre(1, 1, 0));
}

TEST(KeepWhere, RefusesAFillThatTheDTypeDoesNotHold) {
  const auto error = [](DType dtype, double fill) {
    return error_of(
        [&] { ops::keep_where(Variable(Tensor::zeros({1}, dtype)), test::bits({0}, {1}), fill); });
  };
  EXPECT_EQ(error(DType::kInt32, 0.5), "[keep_where] fill 0.5 is no int32");
  EXPECT_EQ(error(DType::kInt32, 3e9), "[keep_where] fill 3000000000 is no int32");
  EXPECT_EQ(error(DType::kInt64, -kInf), "[keep_where] fill -inf is no int64");
  EXPECT_EQ(error(DType::kInt64, kNaN), "[keep_where] fill nan is no int64");
  EXPECT_EQ(error(DType::kBool, 2), "[keep_where] fill 2 is no bool");
  EXPECT_EQ(error(DType::kInt64, 3e9), "no error");
  EXPECT_EQ(error(DType::kFloat32, -kInf), "no error");
}

TEST(WithMask, MayNarrowTheMaskThatIsThere) {
  const SequenceMask narrow(test::bits({1, 0, 0}, {1, 3}));
  const Variable x = leaf(make({1, kNaN, 3}, {1, 3}), kMask);
  Tape tape;
  const Variable y = ops::with_mask(x, narrow);
  EXPECT_TRUE(y.mask() == narrow);
  EXPECT_THAT(to_doubles(y.value()), ElementsAre(1, 0, 0));
  tape.backward(y, make({2, kNaN, kNaN}, {1, 3}));
  EXPECT_THAT(to_doubles(x.grad()), ElementsAre(2, 0, 0));
}

TEST(CommonMask, NamesWhetherPositionsOfBothOrOfEitherExist) {
  const Variable a = leaf(make({1, kNaN, 3}, {1, 3}), kMask);
  const Variable b = leaf(make({10, 20, kNaN}, {1, 3}), kOther);
  Tape tape;
  const ops::CommonMask inner = ops::intersect_masks(a, b), outer = ops::unite_masks(a, b);
  EXPECT_TRUE(inner.a.mask() == SequenceMask(test::bits({1, 0, 0}, {1, 3})));
  EXPECT_TRUE(inner.b.mask() == inner.a.mask());
  EXPECT_TRUE(outer.a.mask() == SequenceMask(test::bits({1, 1, 1}, {1, 3})));
  EXPECT_THAT(to_doubles(ops::add(inner.a, inner.b).value()), ElementsAre(11, 0, 0));
  EXPECT_THAT(to_doubles(ops::add(outer.a, outer.b).value()), ElementsAre(11, 20, 3));
  tape.backward(ops::add(outer.a, outer.b), make({1, 2, 4}, {1, 3}));
  EXPECT_THAT(to_doubles(a.grad()), ElementsAre(1, 0, 4));
  EXPECT_THAT(to_doubles(b.grad()), ElementsAre(1, 2, 0));
}

TEST(CommonMask, TreatsAValueWithoutAMaskAsWhole) {
  const Variable a(make({1, kNaN, 3}, {1, 3}), Variable::kConstant, kMask);
  const Variable b(make({10, 20, 30}, {1, 3}));
  EXPECT_TRUE(ops::intersect_masks(a, b).b.mask() == kMask);
  EXPECT_THAT(to_doubles(ops::intersect_masks(b, a).a.value()), ElementsAre(10, 0, 30));
  EXPECT_FALSE(ops::unite_masks(a, b).a.mask().defined());
  EXPECT_THAT(to_doubles(ops::unite_masks(a, b).a.value()), ElementsAre(1, 0, 3));
}

}  // namespace
}  // namespace maskgrad
