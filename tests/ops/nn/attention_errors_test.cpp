// Shapes of nothing, and what attention refuses.
#include <gmock/gmock.h>

#include <maskgrad/ops/nn/attention_common.hpp>
#include <maskgrad/ops/nn/self_attention.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using ops::AttentionOptions;
using test::bits;
using test::error_of;
using test::leaf;
using test::same_bits;

Variable value(const Shape& shape, DType dtype = DType::kFloat32) {
  return Variable(Tensor::zeros(shape, dtype));
}

const std::string kStarts = "[scaled_dot_product_attention] ";

std::string error(const Variable& q, const Variable& k, const Variable& v,
                  const ops::AttentionPlan& plan = {}, const AttentionOptions& options = {}) {
  return error_of([&] { ops::scaled_dot_product_attention(q, k, v, plan, options); });
}

TEST(Attention, TakesNothingOfEveryKind) {
  // q and k for B, H, S, T, D, and D_v of v.
  const std::array<std::int64_t, 6> cases[] = {{0, 2, 3, 4, 2, 2}, {2, 0, 3, 4, 2, 2},
                                               {2, 2, 0, 4, 2, 2}, {2, 2, 3, 0, 2, 2},
                                               {2, 2, 3, 4, 0, 2}, {2, 2, 3, 4, 2, 0}};
  for (const auto& [batch, heads, queries, keys, features, value_features] : cases) {
    const Variable q = leaf(Tensor::full({batch, heads, queries, features}, 1, DType::kFloat32));
    const Variable k = leaf(Tensor::full({batch, 2, keys, features}, 1, DType::kFloat32));
    const Variable v = leaf(Tensor::full({batch, 2, keys, value_features}, 1, DType::kFloat32));
    Tape tape;
    const Variable y = ops::scaled_dot_product_attention(q, k, v);
    const Shape shape = {batch, heads, queries, value_features};
    EXPECT_TRUE(same_bits(y.value(), Tensor::full(shape, keys ? 1 : 0, DType::kFloat32)));
    tape.backward(y, y.value());
    EXPECT_TRUE(same_bits(q.grad(), Tensor::zeros(q.shape(), DType::kFloat32)));
    EXPECT_EQ(k.grad().shape(), k.shape());
    EXPECT_EQ(v.grad().shape(), v.shape());
  }
}

TEST(Attention, RefusesShapesThatDoNotFit) {
  const Variable q = value({2, 4, 3, 5}), k = value({2, 2, 6, 5}), v = value({2, 2, 6, 7});
  EXPECT_EQ(error(q, k, v), "no error");
  EXPECT_EQ(error(value({3, 5}), k, v),
            kStarts + "q must be [B, H, S, D] or [B, S, D], got (3, 5)");
  const std::string ranks = "k and v must have as many dimensions as q: ";
  EXPECT_EQ(error(value({4, 3, 5}), k, v),
            kStarts + ranks + "(4, 3, 5), (2, 2, 6, 5), (2, 2, 6, 7)");
  EXPECT_EQ(error(q, value({5}), v), kStarts + ranks + "(2, 4, 3, 5), (5,), (2, 2, 6, 7)");
  EXPECT_EQ(error(q, k, value({})), kStarts + ranks + "(2, 4, 3, 5), (2, 2, 6, 5), ()");
  EXPECT_EQ(error(q, value({1, 2, 6, 5}), value({1, 2, 6, 7})),
            kStarts + "batches differ: (2, 4, 3, 5) and (1, 2, 6, 5)");
  const std::string heads = "heads of keys must divide heads of queries: (2, 4, 3, ";
  EXPECT_EQ(error(q, value({2, 3, 6, 5}), value({2, 3, 6, 7})),
            kStarts + heads + "5) and (2, 3, 6, 5)");
  EXPECT_EQ(error(q, value({2, 0, 6, 5}), value({2, 0, 6, 7})),
            kStarts + heads + "5) and (2, 0, 6, 5)");
  const std::string features = ": features and dtype must be the same";
  EXPECT_EQ(error(q, value({2, 2, 6, 4}), v),
            kStarts + "q is float32 (2, 4, 3, 5), k is float32 (2, 2, 6, 4)" + features);
  EXPECT_EQ(error(q, value({2, 2, 6, 5}, DType::kFloat64), v),
            kStarts + "q is float32 (2, 4, 3, 5), k is float64 (2, 2, 6, 5)" + features);
  const std::string k_is = kStarts + "k is float32 (2, 2, 6, 5), v is ",
                    values = ": all but the features must be the same";
  EXPECT_EQ(error(q, k, value({1, 2, 6, 7})), k_is + "float32 (1, 2, 6, 7)" + values);
  EXPECT_EQ(error(q, k, value({2, 3, 6, 7})), k_is + "float32 (2, 3, 6, 7)" + values);
  EXPECT_EQ(error(q, k, value({2, 2, 5, 7})), k_is + "float32 (2, 2, 5, 7)" + values);
  EXPECT_EQ(error(q, k, value({2, 2, 6, 7}, DType::kFloat64)),
            k_is + "float64 (2, 2, 6, 7)" + values);
}

const std::string kReadings = "; bits [n, S, T] mean n heads, and n samples after heads_as_batch()";

TEST(Attention, RefusesMasksBiasesAndOptionsThatDoNotFit) {
  const Variable q = value({2, 4, 3, 5}), k = value({2, 2, 6, 5}), v = value({2, 2, 6, 7});
  const auto with_mask = [&](const AttentionMask& mask) { return error(q, k, v, mask); };
  const auto with = [&](const AttentionOptions& options) { return error(q, k, v, {}, options); };
  const std::string fits = " does not fit pairs of (2, 4, 3, 6)";
  EXPECT_EQ(with_mask(AttentionMask::all(3, 1)), kStarts + "a mask of (1, 1, 3, 1)" + fits);
  EXPECT_EQ(with_mask(AttentionMask::all(6, 3)), kStarts + "a mask of (1, 1, 6, 3)" + fits);
  EXPECT_EQ(with_mask(AttentionMask::bits(Tensor::zeros({2, 3, 6}, DType::kBool))),
            kStarts + "a mask of (1, 2, 3, 6)" + fits + kReadings);
  const std::string bias_fits = " does not fit pairs of float32 (2, 4, 3, 6)";
  EXPECT_EQ(with({.bias = value({5})}), kStarts + "a bias of float32 (5,)" + bias_fits);
  EXPECT_EQ(with({.bias = value({1, 2, 4, 3, 6})}),
            kStarts + "a bias of float32 (1, 2, 4, 3, 6)" + bias_fits);
  EXPECT_EQ(with({.bias = value({6}, DType::kFloat64)}),
            kStarts + "a bias of float64 (6,)" + bias_fits);
  EXPECT_EQ(with({.softcap = 0.0}), kStarts + "softcap must be above 0, got 0");
  EXPECT_EQ(with({.softcap = -1.5}), kStarts + "softcap must be above 0, got -1.5");
  EXPECT_EQ(with({.dropout = 1}), kStarts + "dropout must be at least 0 and below 1, got 1");
  const auto scores = [&](const AttentionMask& mask) {
    return error_of([&] { ops::attention_scores(q, k, mask); });
  };
  EXPECT_EQ(scores({}), "[attention_scores] needs a mask; AttentionMask::all() keeps every pair");
  EXPECT_EQ(scores(AttentionMask::all(3, 5)), "[attention_scores] a mask of (1, 1, 3, 5)" + fits);
  EXPECT_EQ(error_of([&] {
              ops::attention_values(value({3, 6}), v, AttentionMask::all(3, 6));
            }),
            "[attention_values] weights float32 (3, 6) do not fit values float32 (2, 2, 6, 7)");
}

TEST(Attention, RefusesADropoutThatHasNothingToDrawFrom) {
  const Variable q = value({2, 4, 3, 5}), k = value({2, 2, 6, 5}), v = value({2, 2, 6, 7}),
                 qkv = value({3, 2, 4, 5});
  const std::string text =
      "a dropout of 0.25 has no random numbers to draw from; give options.random, by layer and "
      "step";
  const AttentionOptions none = {.dropout = 0.25},
                         some = {.dropout = 0.25, .random = Random(1, stream_of("layer"), 2)};
  EXPECT_EQ(error(q, k, v, {}, none), kStarts + text);
  EXPECT_EQ(error(q, k, v, {}, some), "no error");
  EXPECT_EQ(error_of([&] { ops::self_attention(qkv, {}, none); }), "[self_attention] " + text);
  EXPECT_EQ(error_of([&] { ops::self_attention(qkv, {}, some); }), "no error");
  const auto composed = [&](const AttentionOptions& options) {
    return error_of([&] { ops::composed_attention(q, k, v, AttentionMask::all(3, 6), options); });
  };
  EXPECT_EQ(composed(none), "[attention] " + text);
  EXPECT_EQ(composed(some), "no error");
  EXPECT_EQ(error(q, k, v, {}, {.dropout = 0}), "no error");
}

TEST(Attention, RefusesQueriesOfOtherSizes) {
  const SequenceMask exists(bits({1, 1, 0, 1, 0, 0}, {2, 3}));
  const auto plan = ops::AttentionPlan::existing(exists);
  const auto refused = [&](const Shape& shape) {
    const Variable x = value(shape);
    return error(x, x, x, plan);
  };
  EXPECT_EQ(refused({2, 3, 4}), "no error");
  EXPECT_EQ(refused({2, 4, 4}),
            kStarts + "a mask of (2, 1, 3, 3) does not fit pairs of (2, 1, 4, 4)");
  EXPECT_EQ(refused({2, 1, 3, 4}),
            kStarts +
                "queries that exist (2, 3) need an input [B, S, D] of their sizes, got "
                "(2, 1, 3, 4)");
  EXPECT_EQ(error_of([&] { ops::AttentionPlan::existing(exists, AttentionMask::causal(4)); }),
            "[attention_mask] sizes must be equal, or 1 for batch and heads: (2, 1, 3, 3) and "
            "(1, 1, 4, 4)");
}

TEST(Attention, RefusesHeadsThatNoRowHolds) {
  const auto refused = [&](const Shape& q, const Shape& k, const Shape& v, std::int64_t heads) {
    return error(value(q), value(k), value(v), {}, {.heads = heads});
  };
  EXPECT_EQ(refused({2, 3, 8}, {2, 5, 4}, {2, 5, 6}, 4), "no error");
  EXPECT_EQ(refused({2, 3, 8}, {2, 5, 4}, {2, 5, 6}, 3),
            kStarts + "3 heads do not divide the features of q (2, 3, 8)");
  EXPECT_EQ(
      refused({2, 3, 8}, {2, 5, 8}, {2, 5, 8}, 0),
      kStarts + "heads must be at least 1, and 1 for inputs [B, H, S, D], got 0 for (2, 3, 8)");
  EXPECT_EQ(
      refused({2, 2, 3, 8}, {2, 2, 5, 8}, {2, 2, 5, 8}, 2),
      kStarts + "heads must be at least 1, and 1 for inputs [B, H, S, D], got 2 for (2, 2, 3, 8)");
  const std::string whole = " are no whole heads of 2 features";
  EXPECT_EQ(refused({2, 3, 8}, {2, 5, 5}, {2, 5, 6}, 4),
            kStarts + "k (2, 5, 5) and v (2, 5, 6)" + whole);
  EXPECT_EQ(refused({2, 3, 8}, {2, 5, 4}, {2, 5, 7}, 4),
            kStarts + "k (2, 5, 4) and v (2, 5, 7)" + whole);
  EXPECT_EQ(refused({2, 3, 8}, {2, 5, 1}, {2, 5, 6}, 4),
            kStarts + "k (2, 5, 1) and v (2, 5, 6)" + whole);
  EXPECT_EQ(refused({2, 3, 8}, {2, 5, 6}, {2, 5, 6}, 4),
            kStarts + "heads of keys must divide heads of queries: (2, 4, 3, 2) and (2, 3, 5, 2)");
}

TEST(Attention, RefusesInputsThatCarryAMaskOfPositions) {
  const Variable x = value({2, 4, 3, 5});
  const auto masked = [](const Shape& shape) {
    return Variable(Tensor::zeros(shape, DType::kFloat32), {},
                    SequenceMask(Tensor::full(shape.slice(0, 2), 1, DType::kBool)));
  };
  const auto text = [](const std::string& starts, const std::string& shape) {
    return starts + "an input of " + shape +
           " carries a mask; give it as AttentionPlan::existing, and drop_mask() it";
  };
  const Variable m = masked({2, 4, 3, 5});
  EXPECT_EQ(error(m, x, x), text(kStarts, "(2, 4, 3, 5)"));
  EXPECT_EQ(error(x, m, x), text(kStarts, "(2, 4, 3, 5)"));
  EXPECT_EQ(error(x, x, m), text(kStarts, "(2, 4, 3, 5)"));
  EXPECT_EQ(error(x, x, x, {}, {.bias = masked({2, 4, 3, 3})}), text(kStarts, "(2, 4, 3, 3)"));
  EXPECT_EQ(error(drop_mask(m), x, x), "no error");
  const AttentionMask all = AttentionMask::all(3, 3);
  EXPECT_EQ(error_of([&] { ops::attention_scores(x, m, all); }),
            text("[attention_scores] ", "(2, 4, 3, 5)"));
  EXPECT_EQ(error_of([&] {
              ops::attention_values(masked({2, 4, 3, 3}), x, all);
            }),
            text("[attention_values] ", "(2, 4, 3, 3)"));
}

}  // namespace
}  // namespace maskgrad
