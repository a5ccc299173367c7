// Attention over queries, keys and values in one value has the bits of attention over three.
#include <gmock/gmock.h>

#include <maskgrad/ops/nn/self_attention.hpp>

#include "ops/nn/attention_runs.hpp"
#include "support/errors.hpp"
#include "support/heads.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using ops::AttentionOptions;
using test::AttentionInputs;
using test::AttentionResults;
using test::AttentionSizes;
using test::error_of;
using test::heads_together;
using test::leaf;
using test::leaf_over_nan;
using test::random_attention;
using test::run_fused;
using test::same_bits;
using Int = std::int64_t;

Tensor joined(const Tensor& q, const Tensor& k, const Tensor& v) {
  Tensor all = Tensor::empty(Shape{3}.concat(q.shape()), q.dtype());
  Int at = 0;
  for (const Tensor* part : {&q, &k, &v}) {
    all.view(at++ * q.numel(), q.shape()).copy_from(*part);
  }
  return all;
}

// Its gradient arrives in memory that held NaN, as attention is to write every place of it.
AttentionResults run_self(const AttentionInputs& in, const ops::AttentionPlan& plan,
                          AttentionOptions options = {}) {
  const Variable qkv = leaf_over_nan(joined(in.q, in.k, in.v));
  if (in.bias.defined()) options.bias = leaf(in.bias);
  Tape tape;
  const Variable y = ops::self_attention(qkv, plan, options);
  tape.backward(y, in.g);
  const Tensor d = qkv.grad();
  const auto part = [&](Int i) { return d.view(i * in.q.numel(), in.q.shape()); };
  return {y.value(), part(0), part(1), part(2), in.bias.defined() ? options.bias.grad() : Tensor(),
          y.mask()};
}

TEST(SelfAttention, HasTheBitsOfAttentionUnderEveryKindOfMask) {
  Random random(1);
  for (const Int length : {1, 20, 70, 130}) {
    const AttentionSizes d = {3, 2, 2, length, length, 15, 15};
    const AttentionInputs in = random_attention(random, d);
    std::vector<AttentionMask> masks = attention_masks(random, d);
    // Queries, or keys, of whole tiles that take part in nothing.
    masks.push_back(AttentionMask::causal(length, length, -90));
    masks.push_back(~AttentionMask::all(length, length));
    for (const AttentionMask& mask : masks) {
      for (const DType dtype : test::kFloatingDTypes) {
        EXPECT_TRUE(same_bits(run_self(in.to(dtype), mask), run_fused(in.to(dtype), mask)))
            << (mask.defined() ? mask.recipe() : "no mask");
      }
    }
  }
}

AttentionInputs inputs_with_bias(std::uint64_t seed) {
  Random random(seed);
  const AttentionSizes d = {2, 2, 2, 70, 70, 8, 8};
  AttentionInputs in = random_attention(random, d);
  in.bias = test::uniform(random, {2, 1, 70});
  return in;
}

TEST(SelfAttention, TakesTheOptionsOfAttention) {
  const AttentionInputs in = inputs_with_bias(2);
  const AttentionMask mask = AttentionMask::causal(70);
  const AttentionOptions options = {
      .scale = -0.4, .softcap = 2.0, .dropout = 0.3, .random = Random(7, 8)};
  for (const DType dtype : test::kFloatingDTypes) {
    EXPECT_TRUE(
        same_bits(run_self(in.to(dtype), mask, options), run_fused(in.to(dtype), mask, options)));
  }
}

TEST(SelfAttention, GivesABiasItsGradientWhereNothingElseTakesOne) {
  const AttentionInputs in = inputs_with_bias(6);
  const AttentionMask mask = AttentionMask::causal(70);
  for (const DType dtype : test::kFloatingDTypes) {
    const AttentionInputs typed = in.to(dtype);
    const Variable bias = leaf(typed.bias);
    Tape tape;
    tape.backward(
        ops::self_attention(Variable(joined(typed.q, typed.k, typed.v)), mask, {.bias = bias}),
        typed.g);
    EXPECT_TRUE(same_bits(bias.grad(), run_fused(typed, mask).dbias));
  }
}

TEST(SelfAttention, WithoutHeadsIsThatOfOneHead) {
  Random random(3);
  const AttentionSizes d = {2, 1, 1, 70, 70, 17, 17};
  const AttentionInputs in = random_attention(random, d);
  const auto flat = [](const Tensor& x) { return x.reshape({x.dim(0), x.dim(2), x.dim(3)}); };
  const AttentionInputs none = {flat(in.q), flat(in.k), flat(in.v), flat(in.g)};
  const AttentionMask mask = AttentionMask::window(70, 70, 9, 4);
  const AttentionResults found = run_self(none, mask), expected = run_fused(in, mask);
  EXPECT_EQ(found.y.shape(), none.q.shape());
  EXPECT_TRUE(same_bits(found.y, flat(expected.y)));
  EXPECT_TRUE(same_bits(found.dv, flat(expected.dv)));
}

TEST(SelfAttention, TakesBitsOfEachSampleWhereThereAreNoHeads) {
  Random random(6);
  const auto draw = [&] { return test::uniform(random, {3, 5, 2}); };
  const AttentionInputs in = {draw(), draw(), draw(), draw()};
  const Tensor keep = test::random_bits(random, {3, 5, 5}, 0.5);
  const AttentionMask of_samples = AttentionMask::bits(keep.reshape({3, 1, 5, 5}));
  EXPECT_TRUE(same_bits(run_self(in, AttentionMask::bits(keep)), run_fused(in, of_samples)));
  const Variable qkv(joined(in.q, in.k, in.v));
  const OpCall call = {.inputs = {{"qkv", qkv}, {"mask", Variable(keep)}}, .args = {}};
  EXPECT_TRUE(same_bits(run_op(find_op("self_attention"), call).front().value(),
                        ops::self_attention(qkv, of_samples).value()));
}

TEST(SelfAttention, PassesOnWhichQueriesExist) {
  const SequenceMask exists(test::bits({1, 1, 0, 1, 0, 0}, {2, 3}));
  Random random(4);
  const auto draw = [&] { return test::uniform(random, {2, 3, 4}); };
  const AttentionInputs in = {draw(), draw(), draw(), draw()};
  const AttentionResults found = run_self(in, ops::AttentionPlan::existing(exists));
  EXPECT_TRUE(found.mask == exists);
  EXPECT_TRUE(same_bits(found, run_fused(in, AttentionMask::existing(exists))));
}

TEST(SelfAttention, TakesHeadsThatShareRows) {
  Random random(6);
  for (const Int length : {1, 20, 130, 700}) {
    const AttentionSizes d = {2, 3, 3, length, length, 5, 5};
    const AttentionInputs in = random_attention(random, d).to(DType::kFloat32);
    const AttentionInputs rows = {heads_together(in.q), heads_together(in.k), heads_together(in.v),
                                  heads_together(in.g)};
    for (const AttentionMask& mask : attention_masks(random, d)) {
      const AttentionResults apart = run_self(in, mask),
                             beside = run_self(rows, mask, {.heads = 3});
      const auto expected = apart.all(), found = beside.all();
      for (std::size_t i = 0; i < 4; ++i) {
        EXPECT_TRUE(test::same_bits(found[i].second, heads_together(expected[i].second)))
            << found[i].first << ", " << length << ", "
            << (mask.defined() ? mask.recipe() : "no mask");
      }
    }
  }
}

TEST(SelfAttention, GivesTheBitsOfOneThreadOnTwoAndThree) {
  Random random(5);
  const AttentionSizes d = {40, 1, 1, 20, 20, 15, 15};
  const AttentionInputs in = random_attention(random, d).to(DType::kFloat32);
  for (const AttentionMask& mask : attention_masks(random, d)) {
    const AttentionResults one = run_self(in, mask);
    for (const int threads : {2, 3}) {
      const test::WithThreads more(threads);
      EXPECT_TRUE(same_bits(run_self(in, mask), one)) << threads << " threads";
    }
  }
}

TEST(SelfAttention, RefusesWhatDoesNotFit) {
  const auto refused = [](const Shape& shape, const ops::AttentionPlan& plan = {},
                          const AttentionOptions& options = {}) {
    const Variable qkv(Tensor::zeros(shape, DType::kFloat32));
    return error_of([&] { ops::self_attention(qkv, plan, options); });
  };
  const std::string name = "[self_attention] ";
  const std::string needs = name + "needs floating [3, B, H, S, D] or [3, B, S, D], got float32 ";
  EXPECT_EQ(refused({2, 2, 4, 5}), needs + "(2, 2, 4, 5)");
  EXPECT_EQ(refused({3, 4, 5}), needs + "(3, 4, 5)");
  EXPECT_EQ(refused({3, 1, 2, 3, 4, 5}), needs + "(3, 1, 2, 3, 4, 5)");
  EXPECT_EQ(refused({3, 2, 4, 5}, {}, {.heads = 2}),
            name + "2 heads do not divide the features of q (2, 4, 5)");
  EXPECT_EQ(refused({3, 2, 4, 5}, AttentionMask::causal(5)),
            name + "a mask of (1, 1, 5, 5) does not fit pairs of (2, 1, 4, 4)");
  EXPECT_EQ(refused({3, 2, 4, 5}, {}, {.softcap = 0.0}), name + "softcap must be above 0, got 0");
  const SequenceMask exists(test::bits({1, 0}, {1, 2}));
  const Variable integers(Tensor::zeros({3, 1, 2, 5}, DType::kInt64));
  EXPECT_EQ(error_of([&] { ops::self_attention(integers); }),
            name + "needs floating [3, B, H, S, D] or [3, B, S, D], got int64 (3, 1, 2, 5)");
  EXPECT_THAT(refused({3, 1, 2, 2, 5}, ops::AttentionPlan::existing(exists)),
              ::testing::HasSubstr("need an input [B, S, D] of their sizes, got (1, 2, 2, 5)"));
  const Variable bias(Tensor::zeros({1, 2, 2}, DType::kFloat32), Variable::kConstant, exists);
  EXPECT_THAT(refused({3, 1, 2, 5}, {}, {.bias = bias}),
              ::testing::HasSubstr("carries a mask; give it as AttentionPlan::existing"));
  const Variable masked(Tensor::zeros({3, 2, 4, 5}, DType::kFloat32), Variable::kConstant,
                        SequenceMask(test::bits({1, 0, 1, 1, 0, 1}, {3, 2})));
  EXPECT_THAT(error_of([&] { ops::self_attention(masked); }),
              ::testing::HasSubstr("carries a mask; give it as AttentionPlan::existing"));
}

}  // namespace
}  // namespace maskgrad
