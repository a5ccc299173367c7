// Attention in one pass against the three operations that it means. What masks promise of it is in
// attention_fused_mask_test.cpp.
#include <cmath>
#include <span>

#include <gmock/gmock.h>

#include "ops/nn/attention_runs.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using ops::AttentionOptions;
using test::are_close;
using test::AttentionInputs;
using test::AttentionResults;
using test::AttentionSizes;
using test::is_close;
using test::leaf;
using test::random_attention;
using test::run_composed;
using test::run_fused;
using test::same_bits;

// Sums of a few hundred terms of about 1, rounded.
double tolerance(DType dtype) { return dtype == DType::kFloat32 ? 1e-4 : 1e-12; }

// The same as composed in double.
void expect_composed(const AttentionInputs& in, const AttentionMask& mask,
                     const AttentionOptions& options = {}) {
  const AttentionResults expected = run_composed(in, mask, options);
  for (const DType dtype : test::kFloatingDTypes) {
    EXPECT_TRUE(are_close(run_fused(in.to(dtype), mask, options), expected, tolerance(dtype)))
        << fmt::format("of {} q {} k {} v {} under {}", to_string(dtype), in.q.shape(),
                       in.k.shape(), in.v.shape(), mask.defined() ? mask.recipe() : "no mask");
  }
}

template <std::size_t n>
std::int64_t one_of(Random& random, const std::int64_t (&values)[n]) {
  return values[random.below(n)];
}

// Around the edges of tiles and vectors.
constexpr std::int64_t kLengths[] = {1, 20, 63, 64, 65, 130, 200};
constexpr std::int64_t kFeatures[] = {1, 3, 15, 16, 17, 64, 70};

AttentionSizes random_sizes(Random& random) {
  const std::int64_t key_heads = random.integer(1, 2), keys = one_of(random, kLengths);
  return {.batch = random.integer(1, 2),
          .heads = key_heads * random.integer(1, 2),
          .key_heads = key_heads,
          .queries = random.coin() ? keys : one_of(random, kLengths),
          .keys = keys,
          .features = one_of(random, kFeatures),
          .value_features = one_of(random, kFeatures)};
}

AttentionMask one_mask(Random& random, const AttentionSizes& d) {
  const std::vector<AttentionMask> masks = attention_masks(random, d);
  return masks[random.below(static_cast<std::uint32_t>(masks.size()))];
}

TEST(FusedAttention, IsTheComposedOneForEveryKindOfMask) {
  Random random(1);
  for (int i = 0; i < 12; ++i) {
    const AttentionSizes d = random_sizes(random);
    const AttentionInputs in = random_attention(random, d);
    for (const AttentionMask& mask : attention_masks(random, d)) expect_composed(in, mask);
  }
}

// Every pair of values for two of the sizes, the others at random.
void expect_composed_for(std::uint64_t seed, std::int64_t AttentionSizes::*one,
                         std::int64_t AttentionSizes::*other,
                         std::span<const std::int64_t> values) {
  Random random(seed);
  for (const std::int64_t a : values) {
    for (const std::int64_t b : values) {
      AttentionSizes d = random_sizes(random);
      d.*one = a;
      d.*other = b;
      expect_composed(random_attention(random, d), one_mask(random, d));
    }
  }
}

TEST(FusedAttention, IsTheComposedOneForEveryLengthOfQueriesAndKeys) {
  expect_composed_for(2, &AttentionSizes::queries, &AttentionSizes::keys, kLengths);
}

TEST(FusedAttention, IsTheComposedOneForEveryNumberOfFeatures) {
  expect_composed_for(3, &AttentionSizes::features, &AttentionSizes::value_features, kFeatures);
}

// Where sums over keys, over queries, over the heads of a group and over features are trees.
TEST(FusedAttention, IsTheComposedOneForLongSums) {
  Random random(14);
  for (const AttentionSizes& d : {AttentionSizes{1, 1, 1, 3, 1100, 4, 5},
                                  {1, 1, 1, 1100, 3, 4, 5},
                                  {1, 4, 2, 530, 530, 3, 2},
                                  {1, 1, 1, 70, 65, 1100, 520}}) {
    AttentionInputs in = random_attention(random, d);
    for (const Shape& bias : {Shape{}, Shape{1, d.keys}, Shape{d.queries, 1}}) {
      in.bias = test::uniform(random, bias);
      for (const AttentionMask& mask : attention_masks(random, d)) {
        EXPECT_TRUE(are_close(run_fused(in, mask), run_composed(in, mask), 1e-12));
      }
    }
  }
}

// Memory that was used before holds something else.
TEST(FusedAttention, OfNoQueriesGivesKeysAndValuesGradientsOf0) {
  Random random(15);
  for (const AttentionSizes& d :
       {AttentionSizes{1, 1, 1, 0, 20, 3, 3}, {2, 2, 1, 0, 70, 3, 3}, {1, 0, 1, 5, 20, 3, 3}}) {
    const Tensor keys = Tensor::zeros({d.batch, d.key_heads, d.keys, 3}, DType::kFloat64);
    const Variable q = leaf(Tensor::zeros({d.batch, d.heads, d.queries, 3}, DType::kFloat64)),
                   k = leaf(keys.clone()), v = leaf(keys.clone());
    Tape tape;
    const Variable y = ops::scaled_dot_product_attention(q, k, v);
    std::vector<Tensor> used(4);
    for (Tensor& x : used) x = Tensor::full(keys.shape(), 7.5, DType::kFloat64);
    used.clear();
    tape.backward(y, Tensor::zeros(y.shape(), DType::kFloat64));
    EXPECT_TRUE(same_bits(k.grad(), keys));
    EXPECT_TRUE(same_bits(v.grad(), keys));
  }
}

TEST(FusedAttention, IsTheComposedOneWithABiasOfAnyShapeThatBroadcasts) {
  Random random(4);
  for (int i = 0; i < 8; ++i) {
    const AttentionSizes d = random_sizes(random);
    AttentionInputs in = random_attention(random, d);
    for (const Shape& shape : d.bias_shapes()) {
      SCOPED_TRACE(to_string(shape));
      in.bias = test::uniform(random, shape).to(DType::kFloat32).to(DType::kFloat64);
      expect_composed(in, one_mask(random, d));
    }
  }
}

TEST(FusedAttention, GivesTheSameGradientsWhetherOrNotABiasTakesOne) {
  Random random(9);
  const AttentionSizes d = {2, 2, 1, 70, 70, 10, 6};
  for (const DType dtype : test::kFloatingDTypes) {
    const AttentionInputs in = random_attention(random, d).to(dtype);
    const Tensor bias = test::uniform(random, {70, 70}).to(dtype);
    const auto run = [&](const Variable& b) {
      const Variable q = leaf(in.q), k = leaf(in.k), v = leaf(in.v);
      Tape tape;
      tape.backward(
          ops::scaled_dot_product_attention(q, k, v, AttentionMask::causal(70), {.bias = b}), in.g);
      return AttentionResults{.y = {}, .dq = q.grad(), .dk = k.grad(), .dv = v.grad()};
    };
    EXPECT_TRUE(same_bits(run(Variable(bias)), run(leaf(bias))));
  }
}

TEST(FusedAttention, ScalesAndCapsAsTheComposedOne) {
  Random random(5);
  for (int i = 0; i < 20; ++i) {
    const AttentionSizes d = random_sizes(random);
    AttentionInputs in = random_attention(random, d);
    if (i % 2) in.bias = test::uniform(random, {d.queries, d.keys});
    in = in.to(DType::kFloat32).to(DType::kFloat64);
    expect_composed(in, one_mask(random, d), {.scale = random.uniform(-1, 1), .softcap = 0.5});
    expect_composed(in, one_mask(random, d), {.softcap = 2});
    expect_composed(in, one_mask(random, d), {.scale = 0.0});
    expect_composed(in, one_mask(random, d), {.scale = 0.0, .softcap = 0.5});
  }
}

TEST(FusedAttention, DropsTheWeightsThatTheComposedOneDrops) {
  Random random(6);
  for (int i = 0; i < 20; ++i) {
    const AttentionSizes d = random_sizes(random);
    AttentionInputs in = random_attention(random, d);
    if (i % 2) in.bias = test::uniform(random, {d.keys}).to(DType::kFloat32).to(DType::kFloat64);
    AttentionOptions options = {.dropout = 0.3, .random = Random(7, 8, static_cast<unsigned>(i))};
    if (i % 3 == 0) options.softcap = 1.0;
    expect_composed(in, one_mask(random, d), options);
    options.dropout = 0.9;
    expect_composed(in, one_mask(random, d), options);
  }
}

TEST(FusedAttention, LosesNothingInScoresThatALargeBiasMovesAlike) {
  Random random(7);
  for (int i = 0; i < 10; ++i) {
    const AttentionSizes d = random_sizes(random);
    AttentionInputs in = random_attention(random, d);
    const AttentionMask mask = one_mask(random, d);
    in.bias = test::make({-1e9}, {1});
    // What is left of a score near 1e9: 1e-7 in double, nothing in float.
    EXPECT_TRUE(are_close(run_fused(in, mask), run_composed(in, mask), 1e-5));
    const AttentionInputs narrow = in.to(DType::kFloat32);
    AttentionInputs alike = in;  // all scores the same: the mean of the values
    alike.q.fill(0);
    const AttentionResults means = run_composed(alike, mask), found = run_fused(narrow, mask);
    EXPECT_TRUE(is_close(found.y, test::to_doubles(means.y), 1e-4));
    EXPECT_TRUE(is_close(found.dv, test::to_doubles(means.dv), 1e-4));
  }
}

TEST(FusedAttention, TakesScoresOfTenThousands) {
  Random random(8);
  for (int i = 0; i < 10; ++i) {
    AttentionSizes d = random_sizes(random);
    d.features = 16;
    AttentionInputs in = random_attention(random, d);
    const AttentionMask mask = one_mask(random, d);
    const AttentionOptions options = {.scale = 5e3};
    // The scores err by some roundings of 1e4, and the gradients are multiplied by the scale.
    const AttentionResults expected = run_composed(in, mask, options);
    EXPECT_TRUE(are_close(run_fused(in, mask, options), expected, 1e-6));
    const AttentionResults narrow = run_fused(in.to(DType::kFloat32), mask, options);
    EXPECT_TRUE(is_close(narrow.y, test::to_doubles(expected.y), 0.02));
  }
}

TEST(FusedAttention, GivesTheBitsOfOneThreadOnTwoAndThree) {
  Random random(9);
  for (const AttentionSizes& d :
       {AttentionSizes{3, 4, 2, 130, 130, 20, 17}, {1, 4, 2, 600, 600, 5, 3}}) {
    const Shape biases[] = {{}, {d.keys}, {d.heads, 1, 1}, {d.batch, 1, 1, d.keys}};
    const AttentionInputs in = random_attention(random, d);
    const std::vector<AttentionMask> masks = attention_masks(random, d);
    for (std::size_t i = 0; i < masks.size(); ++i) {
      for (const DType dtype : test::kFloatingDTypes) {
        AttentionInputs inputs = in;
        inputs.bias = test::uniform(random, biases[i % 4]);
        inputs = inputs.to(dtype);
        const AttentionOptions options = {.dropout = i % 3 ? 0.1 : 0, .random = Random(0)};
        const AttentionResults one = run_fused(inputs, masks[i], options);
        for (const int threads : {2, 3}) {
          const test::WithThreads more(threads);
          EXPECT_TRUE(same_bits(run_fused(inputs, masks[i], options), one))
              << threads << " threads";
        }
      }
    }
  }
}

TEST(FusedAttention, WithoutHeadsIsThatOfOneHead) {
  Random random(10);
  const AttentionSizes d = {2, 1, 1, 70, 70, 17, 5};
  AttentionInputs in = random_attention(random, d);
  in.bias = test::uniform(random, {70, 70});
  const auto flat = [](const Tensor& x) { return x.reshape({x.dim(0), x.dim(2), x.dim(3)}); };
  for (const DType dtype : test::kFloatingDTypes) {
    const AttentionInputs one = in.to(dtype);
    const AttentionInputs none = {flat(one.q), flat(one.k), flat(one.v), flat(one.g), one.bias};
    for (const AttentionMask& mask : attention_masks(random, d)) {
      const AttentionResults expected = run_fused(one, mask);
      EXPECT_TRUE(
          same_bits(run_fused(none, mask), {flat(expected.y), flat(expected.dq), flat(expected.dk),
                                            flat(expected.dv), expected.dbias}));
    }
  }
}

// One tile a head, and several.
TEST(FusedAttention, GivesZeroToAQueryWhoseScoresAreAllMinusInfinity) {
  Random random(11);
  for (const std::int64_t n : {3, 64, 150}) {
    AttentionInputs in = random_attention(random, {1, 1, 1, n, n, 5, 4});
    in.bias = Tensor::zeros({n, n}, DType::kFloat64);
    const AttentionResults usual = run_fused(in, {});
    in.bias[1].fill(-test::kInf);
    const AttentionResults got = run_fused(in, {});
    const auto zeros = [](std::int64_t size) { return Tensor::zeros({size}, DType::kFloat64); };
    for (std::int64_t query = 0; query < n; ++query) {
      SCOPED_TRACE(fmt::format("query {} of {}", query, n));
      EXPECT_TRUE(same_bits(got.y[0][0][query], query == 1 ? zeros(4) : usual.y[0][0][query]));
    }
    EXPECT_TRUE(same_bits(got.dq[0][0][1], zeros(5)));
    EXPECT_TRUE(same_bits(got.dbias[1], zeros(n)));
  }
}

}  // namespace
}  // namespace maskgrad
