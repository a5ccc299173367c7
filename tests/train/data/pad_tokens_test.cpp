#include <gtest/gtest.h>

#include <maskgrad/train/data/pad_tokens.hpp>

namespace maskgrad {
namespace {

using Sequences = std::vector<std::vector<std::int64_t>>;

TEST(PadTokens, fills_up_behind_shorter_sequences) {
  const Tensor y = pad_tokens(Sequences{{5, 6}, {}, {7, 8, 9}}, -1);
  const Tensor wanted = Tensor::from<std::int64_t>({5, 6, -1, -1, -1, -1, 7, 8, 9}, {3, 3});
  EXPECT_TRUE(is_identical(y, wanted));
}

TEST(PadTokens, keeps_tokens_that_equal_the_padding) {
  EXPECT_TRUE(is_identical(pad_tokens(Sequences{{0, 4}, {0}}, 0),
                           Tensor::from<std::int64_t>({0, 4, 0, 0}, {2, 2})));
}

TEST(PadTokens, takes_no_sequences_and_empty_ones) {
  EXPECT_EQ(pad_tokens(Sequences{}, 0).shape(), (Shape{0, 0}));
  EXPECT_EQ(pad_tokens(Sequences{{}, {}}, 0).shape(), (Shape{2, 0}));
  EXPECT_EQ(pad_tokens(Sequences{{}, {}}, 0).dtype(), DType::kInt64);
}

}  // namespace
}  // namespace maskgrad
