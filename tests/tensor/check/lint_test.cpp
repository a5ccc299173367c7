#include <gmock/gmock.h>

#include <maskgrad/tensor/check/lint.hpp>

#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::bits;
using test::make;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

Tensor tokens(const std::vector<double>& ids) { return make(ids, {2, 3}, DType::kInt64); }
SequenceMask mask(const std::vector<double>& keep) { return SequenceMask(bits(keep, {2, 3})); }

TEST(LintMask, HasNothingToSayOfAMaskThatKeepsTokens) {
  const Tensor x = tokens({1, 2, 0, 3, 0, 0});
  EXPECT_THAT(lint_mask(SequenceMask::from_tokens(x, 0), x), IsEmpty());
  EXPECT_THAT(lint_mask(mask({1, 0, 0, 1, 1, 0}), Tensor::zeros({2, 3, 4}, DType::kFloat32)),
              IsEmpty());
}

TEST(LintMask, SaysThatAMaskKeepsNothingOrEverything) {
  const Tensor x = tokens({1, 2, 4, 3, 5, 6});
  EXPECT_THAT(lint_mask(mask({0, 0, 0, 0, 0, 0}), x), ElementsAre("keeps none of 6 positions"));
  EXPECT_THAT(lint_mask(mask({1, 1, 1, 1, 1, 1}), x),
              ElementsAre("keeps all 6 positions: without it the result is the same"));
}

TEST(LintMask, SaysThatAMaskLooksInverted) {
  const Tensor x = tokens({1, 2, 0, 3, 0, 0});
  EXPECT_THAT(lint_mask(~SequenceMask::from_tokens(x, 0), x),
              ElementsAre("keeps mostly tokens 0, which are padding, and leaves out the others: it "
                          "looks inverted"));
  EXPECT_THAT(lint_mask(SequenceMask::from_tokens(x, 0), x, 1), IsEmpty());
}

TEST(LintMask, SaysWhichSequencesHaveNoPosition) {
  EXPECT_THAT(lint_mask(mask({1, 1, 0, 0, 0, 0}), tokens({1, 2, 0, 0, 0, 0})),
              ElementsAre("leaves 1 of 2 sequences without any position, first number 1"));
}

TEST(LintMask, SaysThatAMaskIsForOtherData) {
  EXPECT_THAT(lint_mask(mask({1, 1, 0, 0, 0, 1}), Tensor::zeros({2, 4, 5}, DType::kFloat32)),
              ElementsAre("is for positions (2, 3), the data is (2, 4, 5)"));
  EXPECT_THAT(lint_mask(SequenceMask(), tokens({1, 2, 3, 4, 5, 6})), ElementsAre("says nothing"));
}

class LintPairs : public ::testing::Test {
 protected:
  const Tensor q = Tensor::zeros({1, 2, 4, 3}, DType::kFloat32);
  const Tensor k = Tensor::zeros({1, 2, 5, 3}, DType::kFloat32);
};

TEST_F(LintPairs, HaveNothingWrongInAUsualMask) {
  EXPECT_THAT(lint_mask(AttentionMask::causal(4, 5), q, k), IsEmpty());
}

TEST_F(LintPairs, AreForOtherSizes) {
  EXPECT_THAT(lint_mask(AttentionMask::causal(5, 4), q, k),
              ElementsAre("is for 5 queries and 4 keys, the data has 4 and 5"));
  EXPECT_THAT(lint_mask(AttentionMask(), q, k), ElementsAre("says nothing"));
}

TEST_F(LintPairs, AreAllOrNone) {
  EXPECT_THAT(lint_mask(AttentionMask::all(4, 5), q, k),
              ElementsAre("keeps all 20 pairs: without it the result is the same"));
  EXPECT_THAT(lint_mask(AttentionMask::sink(4, 5, 0), q, k), ElementsAre("keeps none of 20 pairs"));
}

TEST_F(LintPairs, LeaveQueriesNothing) {
  EXPECT_THAT(lint_mask(AttentionMask::causal(4, 5, -2), q, k),
              ElementsAre("leaves 2 of 4 queries nothing to attend to: they give 0"));
}

TEST_F(LintPairs, AreCausalTwice) {
  const AttentionMask causal = AttentionMask::causal(4, 5);
  EXPECT_THAT(lint_mask(causal & (AttentionMask::window(4, 5, 2, 2) & causal), q, k),
              ElementsAre("is causal twice: causal & window(2, 2) & causal"));
}

}  // namespace
}  // namespace maskgrad
