// What attention masks refuse.
#include <gmock/gmock.h>

#include <maskgrad/tensor/mask/attention_mask.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::bits;
using test::error_of;

TEST(AttentionMask, RefusesSizesThatItCannotHave) {
  EXPECT_EQ(error_of([] { AttentionMask::all(-1, 3); }),
            "[attention_mask] sizes must be in 0..2147483647: -1 queries, 3 keys");
  EXPECT_EQ(error_of([] { AttentionMask::causal(-2); }),
            "[attention_mask] sizes must be in 0..2147483647: -2 queries, -2 keys");
  EXPECT_EQ(error_of([] { AttentionMask::sink(1, std::int64_t{1} << 31, 1); }),
            "[attention_mask] sizes must be in 0..2147483647: 1 queries, 2147483648 keys");
}

TEST(AttentionMask, RefusesBoundsThatItCannotRead) {
  const Tensor three = Tensor::zeros({1, 2, 3}, DType::kInt64);
  EXPECT_EQ(error_of([&] { AttentionMask::between(three, Tensor(), 3); }),
            "[attention_mask] used before it was given a value");
  EXPECT_EQ(error_of([&] { AttentionMask::between(three.to(DType::kInt32), three, 3); }),
            "[attention_mask] begins and ends must be int64 [B, H, S], got int32 (1, 2, 3)");
  EXPECT_EQ(error_of([&] {
              AttentionMask::between(three, Tensor::zeros({2, 3}, DType::kInt64), 3);
            }),
            "[attention_mask] begins and ends must be int64 [B, H, S], got int64 (2, 3)");
  EXPECT_EQ(error_of([&] {
              AttentionMask::between(three, Tensor::zeros({1, 2, 4}, DType::kInt64), 3);
            }),
            "[attention_mask] begins (1, 2, 3) and ends (1, 2, 4) must have one shape");
}

TEST(AttentionMask, RefusesNegativeParameters) {
  EXPECT_EQ(error_of([] { AttentionMask::window(2, 2, -1, 0); }),
            "[attention_mask] left of a window must not be negative: -1");
  EXPECT_EQ(error_of([] { AttentionMask::window(2, 2, 0, -3); }),
            "[attention_mask] right of a window must not be negative: -3");
  EXPECT_EQ(error_of([] { AttentionMask::prefix(2, 2, -1); }),
            "[attention_mask] n of a prefix must not be negative: -1");
  EXPECT_EQ(error_of([] { AttentionMask::sink(2, 2, -1); }),
            "[attention_mask] n of a sink must not be negative: -1");
}

TEST(AttentionMask, RefusesTensorsThatItCannotRead) {
  EXPECT_EQ(error_of([] {
              AttentionMask::segments(bits({1}, {1, 1}));
            }),
            "[attention_mask] segments needs int32 or int64 [B, S], got bool (1, 1)");
  EXPECT_EQ(error_of([] { AttentionMask::segments(Tensor::zeros({3}, DType::kInt64)); }),
            "[attention_mask] segments needs int32 or int64 [B, S], got int64 (3,)");
  EXPECT_EQ(error_of([] {
              AttentionMask::bits(Tensor::zeros({2, 2}, DType::kFloat32));
            }),
            "[attention_mask] bits needs bool [S, T], [H, S, T] or [B, H, S, T], "
            "got float32 (2, 2)");
  EXPECT_EQ(error_of([] { AttentionMask::bits(Tensor::zeros({3}, DType::kBool), 3, 3); }),
            "[attention_mask] bits needs bool [S, T], [H, S, T] or [B, H, S, T], got bool (3,)");
  EXPECT_EQ(error_of([] {
              AttentionMask::bits(Tensor::zeros({1, 1, 1, 2, 2}, DType::kBool));
            }),
            "[attention_mask] bits needs bool [S, T], [H, S, T] or [B, H, S, T], "
            "got bool (1, 1, 1, 2, 2)");
  EXPECT_EQ(error_of([] {
              AttentionMask::bits(Tensor::zeros({2, 2}, DType::kBool), 2, 3);
            }),
            "[attention_mask] bits (2, 2) do not stretch to 2 queries and 3 keys");
}

TEST(AttentionMask, RefusesWhatHasNoValue) {
  const std::string error = "[attention_mask] used before it was given a value";
  EXPECT_EQ(error_of([] { AttentionMask::padding(SequenceMask()); }), error);
  EXPECT_EQ(error_of([] { AttentionMask::padding(SequenceMask(), 3); }), error);
  EXPECT_EQ(error_of([] { AttentionMask::existing(SequenceMask()); }), error);
  EXPECT_EQ(error_of([] { AttentionMask::segments(Tensor()); }), error);
  EXPECT_EQ(error_of([] { AttentionMask::bits(Tensor()); }), error);
  EXPECT_EQ(error_of([] { AttentionMask::bits(Tensor(), 1, 1); }), error);
}

TEST(AttentionMask, RefusesToCombineOtherSizes) {
  const auto sized = [](const Shape& shape) {
    return AttentionMask::bits(Tensor::zeros(shape, DType::kBool));
  };
  const std::string rule = "[attention_mask] sizes must be equal, or 1 for batch and heads: ";
  EXPECT_EQ(error_of([&] {
              sized({3, 4}) & sized({3, 3});
            }),
            rule + "(1, 1, 3, 4) and (1, 1, 3, 3)");
  EXPECT_EQ(error_of([&] {
              sized({1, 4}) | sized({3, 4});
            }),
            rule + "(1, 1, 1, 4) and (1, 1, 3, 4)");
  EXPECT_EQ(error_of([&] {
              sized({2, 1, 2, 2}) | sized({3, 1, 2, 2});
            }),
            rule + "(2, 1, 2, 2) and (3, 1, 2, 2)");
  EXPECT_EQ(error_of([&] {
              sized({2, 2, 2}) & sized({3, 2, 2});
            }),
            rule + "(1, 2, 2, 2) and (1, 3, 2, 2)");
}

}  // namespace
}  // namespace maskgrad
