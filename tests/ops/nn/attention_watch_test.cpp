// What a watch notes of attention, against plain loops over the definition.
#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/ops/nn/attention_watch.hpp>
#include <maskgrad/ops/nn/key_blocks.hpp>
#include <maskgrad/ops/nn/self_attention.hpp>
#include <maskgrad/ops/nn/softmax.hpp>
#include <maskgrad/tensor/scope.hpp>

#include "ops/nn/attention_runs.hpp"
#include "support/heads.hpp"

namespace maskgrad {
namespace {

using ops::AttentionWatch;
using ops::SeenAttention;
using test::AttentionInputs;
using test::AttentionSizes;

double at(const Tensor& x, std::int64_t a, std::int64_t b, std::int64_t c, std::int64_t d) {
  return x.data<double>()[((a * x.dim(1) + b) * x.dim(2) + c) * x.dim(3) + d];
}

// The weights of one query by the definition: exp(score) of each kept key by their sum.
std::vector<double> row_by_definition(const AttentionInputs& in, const AttentionMask& mask,
                                      std::int64_t b, std::int64_t h, std::int64_t s) {
  const std::int64_t key_head = h / (in.q.dim(1) / in.k.dim(1)), features = in.q.dim(3);
  std::vector<double> row(static_cast<std::size_t>(in.k.dim(2)));
  double sum = 0;
  for (std::int64_t t = 0; t < in.k.dim(2); ++t) {
    if (!mask.keeps(b, h, s, t)) continue;
    double score = 0;
    for (std::int64_t j = 0; j < features; ++j) {
      score += at(in.q, b, h, s, j) * at(in.k, b, key_head, t, j);
    }
    score /= std::sqrt(static_cast<double>(features));
    if (in.bias.defined()) score += at(in.bias, b, h, s, t);
    sum += row[static_cast<std::size_t>(t)] = std::exp(score);
  }
  for (double& weight : row) weight = sum > 0 ? weight / sum : 0;
  return row;
}

template <class F>
void for_each_row(const Shape& pairs, F f) {
  for (std::int64_t b = 0; b < pairs[0]; ++b) {
    for (std::int64_t h = 0; h < pairs[1]; ++h) {
      for (std::int64_t s = 0; s < pairs[2]; ++s) f(b, h, s);
    }
  }
}

void expect_by_definition(const SeenAttention& seen, const AttentionInputs& in,
                          const AttentionMask& mask) {
  const Shape pairs = {in.q.dim(0), in.q.dim(1), in.q.dim(2), in.k.dim(2)};
  ASSERT_EQ(seen.weights.shape(), pairs);
  std::int64_t kept = 0;
  for_each_row(pairs, [&](std::int64_t b, std::int64_t h, std::int64_t s) {
    const std::vector<double> expected = row_by_definition(in, mask, b, h, s);
    double sum = 0, expected_sum = 0;
    for (std::int64_t t = 0; t < pairs[3]; ++t) {
      const double weight = at(seen.weights, b, h, s, t);
      kept += mask.keeps(b, h, s, t);
      EXPECT_TRUE(mask.keeps(b, h, s, t) || weight == 0);
      EXPECT_NEAR(weight, expected[static_cast<std::size_t>(t)], 1e-13);
      sum += weight;
      expected_sum += expected[static_cast<std::size_t>(t)];
    }
    EXPECT_NEAR(sum, expected_sum > 0 ? 1 : 0, 1e-13);
  });
  EXPECT_EQ(seen.kept_pairs(), kept);
  EXPECT_EQ(seen.all_pairs(), pairs.numel());
  EXPECT_GE(seen.computed_pairs, kept);
  EXPECT_LE(seen.computed_pairs, seen.all_pairs());
}

constexpr AttentionSizes kSizes = {2, 4, 2, 70, 70, 3, 5};

TEST(AttentionWatch, NotesTheWeightsOfTheDefinitionUnderEveryMask) {
  Random random(1, 0, 0);
  AttentionInputs in = test::random_attention(random, kSizes);
  for (const bool has_bias : {false, true}) {
    in.bias = has_bias ? test::uniform(random, kSizes.pairs()) : Tensor();
    for (const AttentionMask& mask : test::attention_masks(random, kSizes)) {
      const AttentionMask kept = mask.defined() ? mask : AttentionMask::all(70, 70);
      SCOPED_TRACE(std::string(kept.recipe()));
      AttentionWatch watch;
      ops::AttentionOptions options;
      if (has_bias) options.bias = Variable(in.bias);
      ops::scaled_dot_product_attention(Variable(in.q), Variable(in.k), Variable(in.v), mask,
                                        options);
      ASSERT_EQ(watch.seen().size(), 1U);
      const SeenAttention& seen = watch.seen().front();
      expect_by_definition(seen, in, kept);
      EXPECT_EQ(seen.key_heads, 2);
      EXPECT_EQ(seen.multiply_adds_of_pair(), 3 + 5);
      EXPECT_EQ(seen.bias_effect.has_value(), has_bias);
    }
  }
}

TEST(AttentionWatch, ChangesNoBitOfResultsAndGradients) {
  Random random(2, 0, 0);
  for (const DType dtype : test::kFloatingDTypes) {
    AttentionInputs in = test::random_attention(random, kSizes).to(dtype);
    in.bias = test::uniform(random, {4, 1, 70}).to(dtype);
    ops::AttentionOptions options = {.softcap = 3.0, .dropout = 0.3};
    for (const AttentionMask& mask : test::attention_masks(random, kSizes)) {
      options.random = Random(3, 1, 4);
      const test::AttentionResults without = test::run_fused(in, mask, options);
      AttentionWatch watch;
      options.random = Random(3, 1, 4);
      EXPECT_TRUE(test::same_bits(test::run_fused(in, mask, options), without));
      EXPECT_EQ(watch.seen().size(), 1U);
    }
  }
}

TEST(AttentionWatch, RecordsNothingOnTheTape) {
  const Variable qkv(Tensor::full({3, 1, 4, 2}, 1, DType::kFloat32), Variable::kRequiresGrad);
  Tape tape({.trace = true});
  AttentionWatch watch;
  ops::self_attention(qkv);
  EXPECT_EQ(tape.nodes().size(), 1U);
  EXPECT_EQ(watch.seen().size(), 1U);
}

TEST(AttentionWatch, SeesHeadsThatShareRowsAndKeysInBlocksAsHeadsApart) {
  Random random(5, 0, 0);
  const AttentionInputs in = test::random_attention(random, {2, 4, 2, 1, 19, 3, 3});
  const auto mask = AttentionMask::bits(test::random_bits(random, {2, 1, 1, 19}));
  const auto row = [](const Tensor& x) { return test::heads_together(x); };
  const Variable q(row(in.q)), v(row(in.v));
  AttentionWatch watch;
  ops::scaled_dot_product_attention(Variable(in.q), Variable(in.k), Variable(in.v), mask);
  ops::scaled_dot_product_attention(q, Variable(row(in.k)), v, mask, {.heads = 4});
  ops::scaled_dot_product_attention(q, Variable(ops::to_key_blocks(row(in.k))), v, mask,
                                    {.heads = 4});
  ASSERT_EQ(watch.seen().size(), 3U);
  expect_by_definition(watch.seen()[0], in, mask);
  for (const std::size_t i : {1U, 2U}) {
    EXPECT_TRUE(test::same_bits(watch.seen()[i].weights, watch.seen()[0].weights));
  }
}

TEST(AttentionWatch, SeesWhichQueriesExistAndWhereTheCallWasMade) {
  const std::int64_t lengths[] = {2};
  const SequenceMask positions = SequenceMask::from_lengths(lengths, 3);
  const Variable qkv(Tensor::full({3, 1, 3, 2}, 1, DType::kFloat64));
  AttentionWatch watch;
  const Scope outer("block0");
  {
    const Scope inner("attention");
    ops::self_attention(qkv, ops::AttentionPlan::existing(positions));
  }
  ops::self_attention(qkv);
  ASSERT_EQ(watch.seen().size(), 2U);
  EXPECT_EQ(watch.seen()[0].layer, "block0.attention");
  EXPECT_EQ(watch.seen()[0].queries, positions);
  EXPECT_EQ(watch.seen()[0].pairs.recipe(), "existing");
  EXPECT_EQ(test::to_doubles(watch.seen()[0].weights),
            (std::vector<double>{.5, .5, 0, .5, .5, 0, 0, 0, 0}));
  EXPECT_EQ(watch.seen()[1].layer, "block0");
  EXPECT_FALSE(watch.seen()[1].queries.defined());
}

TEST(AttentionWatch, GivesAQueryWhoseScoresAreAllMinusInfinityNoWeight) {
  const Variable qkv(Tensor::full({3, 1, 2, 2}, 1, DType::kFloat64));
  AttentionWatch watch;
  const Variable bias(test::make({-test::kInf, 0}, {2, 1}));
  const Variable y = ops::self_attention(qkv, {}, {.bias = bias});
  EXPECT_EQ(test::to_doubles(watch.seen().front().weights), (std::vector<double>{0, 0, .5, .5}));
  EXPECT_EQ(test::to_doubles(y.value()), (std::vector<double>{0, 0, 1, 1}));
}

TEST(AttentionWatch, TellsHowMuchABiasChanges) {
  Random random(6, 0, 0);
  const Variable qkv(test::uniform(random, {3, 1, 3, 2}));
  AttentionWatch watch;
  ops::self_attention(qkv, {}, {.bias = Variable(test::make({3, -2, 0}, {3, 1}))});
  ops::self_attention(qkv, {}, {.bias = Variable(test::make({30, 0, 0}, {3}))});
  EXPECT_LT(watch.seen()[0].bias_effect.value(), 1e-15);  // a row of scores as a whole
  EXPECT_GT(watch.seen()[1].bias_effect.value(), 0.3);
}

TEST(AttentionWatch, NotesTheWeightsThatAttentionValuesGets) {
  Random random(7, 0, 0);
  const auto mask = AttentionMask::causal(3);
  const Variable weights(test::uniform(random, {1, 2, 3, 3}, 0.1, 1));
  AttentionWatch watch;
  ops::attention_values(weights, Variable(test::uniform(random, {1, 1, 3, 4})), mask);
  const SeenAttention& seen = watch.seen().at(0);
  for_each_row({1, 2, 3, 3}, [&](std::int64_t, std::int64_t h, std::int64_t s) {
    for (std::int64_t t = 0; t < 3; ++t) {
      EXPECT_EQ(at(seen.weights, 0, h, s, t), t <= s ? at(weights.value(), 0, h, s, t) : 0);
    }
  });
  EXPECT_EQ(seen.kept_pairs(), 2 * 6);
}

TEST(AttentionWatch, ReadsNothingThatTheMaskLeavesOut) {
  Tensor qkv = Tensor::full({3, 1, 3, 1}, 1, DType::kFloat64);
  for (const std::int64_t i : {2, 5, 8}) qkv.data<double>()[i] = test::kNaN;
  const std::int64_t lengths[] = {2};
  AttentionWatch watch;
  ops::self_attention(Variable(qkv),
                      AttentionMask::existing(SequenceMask::from_lengths(lengths, 3)));
  EXPECT_EQ(test::to_doubles(watch.seen().front().weights),
            (std::vector<double>{.5, .5, 0, .5, .5, 0, 0, 0, 0}));
}

TEST(AttentionWatch, NotesOnlyWhileItLivesAndOnlyTheOneMadeLast) {
  const Variable qkv(Tensor::full({3, 1, 2, 1}, 1, DType::kFloat32));
  ops::self_attention(qkv);
  AttentionWatch first;
  {
    AttentionWatch second;
    ops::self_attention(qkv);
    EXPECT_EQ(second.seen().size(), 1U);
  }
  EXPECT_THAT(first.seen(), ::testing::IsEmpty());
  ops::self_attention(qkv);
  EXPECT_EQ(first.seen().size(), 1U);
}

TEST(AttentionWatch, TakesEmptyShapes) {
  AttentionWatch watch;
  for (const Shape& shape : {Shape{3, 0, 2, 1}, Shape{3, 1, 0, 1}, Shape{3, 1, 2, 0}}) {
    ops::self_attention(Variable(Tensor::zeros(shape, DType::kFloat32)));
  }
  EXPECT_EQ(watch.seen()[0].kept_pairs(), 0);
  EXPECT_EQ(watch.seen()[1].kept_pairs(), 0);
  EXPECT_EQ(watch.seen()[2].kept_pairs(), 4);
}

}  // namespace
}  // namespace maskgrad
