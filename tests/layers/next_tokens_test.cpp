#include <gmock/gmock.h>

#include <maskgrad/layers/next_tokens.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;

Tensor ids(const std::vector<std::int64_t>& values, const Shape& shape) {
  return Tensor::from<std::int64_t>(values, shape);
}

Variable tokens(SequenceMask mask = {}) {
  return Variable(ids({1, 2, 3, 4, 5, 6, 7, 8}, {2, 4}), Variable::kConstant, std::move(mask));
}

TEST(NextTokens, AreTheRightTargetsWhateverTheLastOnesAre) {
  EXPECT_EQ(find_wrong_target(tokens(), ids({2, 3, 4, 99, 6, 7, 8, -1}, {2, 4})), "");
  EXPECT_EQ(find_wrong_target(Variable(ids({}, {0, 4})), ids({}, {0, 4})), "");
  EXPECT_EQ(find_wrong_target(Variable(ids({}, {2, 0})), ids({}, {2, 0})), "");
}

TEST(NextTokens, AreThoseThatExist) {
  const SequenceMask mask(test::bits({0, 1, 0, 1, 1, 1, 1, 0}, {2, 4}));
  EXPECT_EQ(find_wrong_target(tokens(mask), ids({0, 4, 0, 9, 6, 7, 9, 0}, {2, 4})), "");
  EXPECT_EQ(find_wrong_target(tokens(mask), ids({0, 3, 0, 9, 6, 7, 9, 0}, {2, 4})),
            "the target of position 0 of sequence 0 is 3, and the next token is 4");
}

TEST(NextTokens, AreToldFromTargetsThatAreShiftedWrongly) {
  EXPECT_EQ(find_wrong_target(tokens(), tokens().value()),
            "the target of position 0 of sequence 0 is 1, and the next token is 2: every target is "
            "the token at its own position");
  EXPECT_EQ(find_wrong_target(tokens(), ids({3, 4, 9, 9, 7, 8, 9, 9}, {2, 4})),
            "the target of position 0 of sequence 0 is 3, and the next token is 2: every target is "
            "the token 2 positions on");
  EXPECT_EQ(find_wrong_target(tokens(), ids({9, 1, 2, 3, 9, 5, 6, 7}, {2, 4})),
            "the target of position 0 of sequence 0 is 9, and the next token is 2: every target is "
            "the token before");
}

TEST(NextTokens, AreCalledShiftedOnlyWhereAWrongOneIsShiftedToo) {
  EXPECT_EQ(find_wrong_target(Variable(ids({1, 1, 1, 1}, {1, 4})), ids({1, 1, 2, 0}, {1, 4})),
            "the target of position 2 of sequence 0 is 2, and the next token is 1");
}

TEST(NextTokens, AreComparedOnlyWhereTargetsCount) {
  const SequenceMask counted(test::bits({0, 1, 1, 1, 0, 0, 1, 0}, {2, 4}));
  EXPECT_EQ(find_wrong_target(tokens(), ids({-9, 3, 4, 9, -9, -9, 8, -9}, {2, 4}), counted), "");
  EXPECT_EQ(find_wrong_target(tokens(), ids({-9, 3, 4, 9, -9, -9, 7, -9}, {2, 4}), counted),
            "the target of position 2 of sequence 1 is 7, and the next token is 8");
}

TEST(NextTokens, MustHaveTheShapeOfTheTokens) {
  EXPECT_EQ(error_of([] { find_wrong_target(tokens(), ids({1}, {1})); }),
            "[find_wrong_target] tokens and targets must be [B, S] of one dtype, got int64 (2, 4) "
            "and int64 (1,)");
  EXPECT_EQ(error_of([] {
              find_wrong_target(tokens(), tokens().value(), SequenceMask(test::bits({1}, {1, 1})));
            }),
            "[find_wrong_target] the mask of what counts must be (2, 4), got (1, 1)");
}

}  // namespace
}  // namespace maskgrad
