#include <gmock/gmock.h>

#include <maskgrad/layers/masking.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::make;
using test::to_doubles;
using ::testing::ElementsAre;

TEST(Masking, MarksThePaddingAndLeavesTheTokens) {
  for (const DType dtype : {DType::kInt32, DType::kInt64}) {
    const Tensor tokens = make({5, 0, 7, 0, 0, 1}, {2, 3}, dtype);
    const Variable y = Masking()(Variable(tokens));
    EXPECT_TRUE(is_identical(y.value(), tokens));
    EXPECT_THAT(to_doubles(y.mask().bits()), ElementsAre(1, 0, 1, 0, 0, 1));
    EXPECT_EQ(y.mask().shape(), (Shape{2, 3}));
  }
}

TEST(Masking, TakesAnyTokenForPadding) {
  const Tensor tokens = make({5, 0, -1}, {1, 3}, DType::kInt64);
  EXPECT_THAT(to_doubles(Masking(-1)(Variable(tokens)).mask().bits()), ElementsAre(1, 1, 0));
}

TEST(Masking, MakesAMaskEvenWhereNothingIsPadding) {
  const Variable y = Masking()(Variable(make({1, 2}, {1, 2}, DType::kInt64)));
  EXPECT_TRUE(y.mask().defined());
  EXPECT_EQ(y.mask().kept(), 2);
}

TEST(Masking, RefusesWhatIsNoBatchOfTokens) {
  EXPECT_EQ(error_of([] {
              Masking()(Variable(Tensor::zeros({2, 3}, DType::kFloat32)));
            }),
            "[sequence_mask] does not take float32");
  EXPECT_EQ(error_of([] { Masking()(Variable(Tensor::zeros({3}, DType::kInt64))); }),
            "[sequence_mask] needs bool [B, S], got bool (3,)");
}

}  // namespace
}  // namespace maskgrad
