// Masks that are put on values of a device, and filled there.
#include <gmock/gmock.h>

#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>
#include <maskgrad/tensor/mask/attention_mask.hpp>

#include "cuda/on_cuda.hpp"
#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::kCuda;
using test::leaf;
using test::to_doubles;
using ::testing::ElementsAre;

const SequenceMask& some_mask() {
  static const SequenceMask mask(test::bits({1, 0, 1, 1}, {2, 2}));
  return mask;
}
Tensor values(DType dtype) { return test::make({1, test::kNaN, 3, 4}, {2, 2}, dtype).to(kCuda); }
Tensor ones(DType dtype) { return Tensor::full({2, 2}, 1, dtype, kCuda); }

TEST(WithMaskOnCuda, FillsTheHolesAndSendsNothingBackThere) {
  for (const DType dtype : test::kFloatingDTypes) {
    test::in_each_order([&] {
      const Variable x = leaf(values(dtype));
      Tape tape;
      const Variable y = ops::with_mask(x, some_mask(), 7);
      tape.backward(y, ones(dtype));
      EXPECT_TRUE(y.mask() == some_mask());
      EXPECT_THAT(to_doubles(y.value().to(Device{})), ElementsAre(1, 7, 3, 4));
      EXPECT_THAT(to_doubles(x.grad().to(Device{})), ElementsAre(1, 0, 1, 1));
    });
  }
}

TEST(FillMaskedOnCuda, FillsTheHolesAndEndsTheMask) {
  for (const DType dtype : test::kFloatingDTypes) {
    test::in_each_order([&] {
      const Variable x = leaf(values(dtype), some_mask());
      Tape tape;
      const Variable y = ops::fill_masked(x, 7);
      tape.backward(y, ones(dtype));
      EXPECT_FALSE(y.mask().defined());
      EXPECT_THAT(to_doubles(y.value().to(Device{})), ElementsAre(1, 7, 3, 4));
      EXPECT_THAT(to_doubles(x.grad().to(Device{})), ElementsAre(1, 0, 1, 1));
    });
  }
}

TEST(CommonMasksOnCuda, AreThoseOfTheCpu) {
  const SequenceMask other(test::bits({1, 1, 0, 1}, {2, 2}));
  const Variable a(values(DType::kFloat32), Variable::kConstant, some_mask()),
      b(ones(DType::kFloat32), Variable::kConstant, other);
  const auto both = ops::intersect_masks(a, b);
  EXPECT_TRUE(both.a.mask() == (some_mask() & other));
  EXPECT_THAT(to_doubles(both.a.value().to(Device{})), ElementsAre(1, 0, 0, 4));
  EXPECT_THAT(to_doubles(both.b.value().to(Device{})), ElementsAre(1, 0, 0, 1));
}

TEST(AttentionMaskOnCuda, UploadsItsRowsOnceForAllCopies) {
  const AttentionMask intervals = AttentionMask::window(5, 5, 1, 0) | AttentionMask::sink(5, 5, 1),
                      bits = AttentionMask::bits(test::bits({1, 0, 1, 0, 1}, {1, 5}));
  EXPECT_EQ(intervals.rows_on(kCuda).shape(), Shape({1, 1, 5, 2, 2}));
  EXPECT_EQ(bits.rows_on(kCuda).shape(), Shape({1, 1, 1, 5}));
  for (const AttentionMask& mask : {intervals, bits}) {
    const AttentionMask copy = mask;
    const Tensor& rows = mask.rows_on(kCuda);
    EXPECT_TRUE(copy.rows_on(kCuda).is_same_view(rows));
    EXPECT_TRUE(is_identical(rows.to(Device{}), mask.rows_on(Device{})));
  }
}

}  // namespace
}  // namespace maskgrad
