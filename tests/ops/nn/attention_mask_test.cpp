// What attention promises under a mask, and what it refuses. Its values are in attention_test.cpp.
#include <type_traits>

#include <gmock/gmock.h>

#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/nn/attention.hpp>
#include <maskgrad/tensor/autograd/tape.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using ops::AttentionOptions;
using test::bits;
using test::error_of;
using test::kInf;
using test::kNaN;
using test::leaf;
using test::make;
using test::same_bits;

constexpr double kPoisons[] = {1e30, -1e30, kInf, -kInf, kNaN};

// A mask of positions is no mask of pairs, nor the other way around.
template <class Mask>
constexpr bool kIsTaken =
    std::is_invocable_v<decltype(ops::scaled_dot_product_attention), const Variable&,
                        const Variable&, const Variable&, Mask, const AttentionOptions&> ||
    std::is_invocable_v<decltype(ops::attention_scores), const Variable&, const Variable&, Mask> ||
    std::is_invocable_v<decltype(ops::attention_values), const Variable&, const Variable&, Mask>;
static_assert(kIsTaken<AttentionMask>);
static_assert(!kIsTaken<SequenceMask>);
static_assert(!kIsTaken<Tensor>);
static_assert(!std::is_constructible_v<AttentionMask, SequenceMask>);
static_assert(!std::is_constructible_v<SequenceMask, AttentionMask>);
static_assert(
    !std::is_invocable_v<decltype(ops::with_mask), const Variable&, AttentionMask, double>);

struct Inputs {
  Tensor q, k, v, bias, g;
};
struct Results {
  Tensor y, dq, dk, dv, dbias;
};

// Two heads that read the same keys: q [1, 2, S, 3], k [1, 1, T, 3], v [1, 1, T, 2].
Inputs random_inputs(std::int64_t queries, std::int64_t keys, DType dtype) {
  Random random(1);
  return {test::uniform(random, {1, 2, queries, 3}).to(dtype),
          test::uniform(random, {1, 1, keys, 3}).to(dtype),
          test::uniform(random, {1, 1, keys, 2}).to(dtype),
          test::uniform(random, {1, 2, queries, keys}).to(dtype),
          test::uniform(random, {1, 2, queries, 2}).to(dtype)};
}

Results run(const Inputs& in, const AttentionMask& mask) {
  const Variable q = leaf(in.q), k = leaf(in.k), v = leaf(in.v), bias = leaf(in.bias);
  Tape tape;
  const Variable y =
      ops::scaled_dot_product_attention(q, k, v, mask, {.bias = bias, .softcap = 3.0});
  tape.backward(y, in.g);
  return {y.value(), q.grad(), k.grad(), v.grad(), bias.grad()};
}

// x with `value` in its rows (along the last dimension) `rows`.
Tensor with_rows(const Tensor& x, const std::vector<std::int64_t>& rows, double value) {
  Tensor y = x.clone();
  for (const std::int64_t row : rows) y.view(row * x.dim(-1), {x.dim(-1)}).fill(value);
  return y;
}

// The same bits but for the rows `rows`.
::testing::AssertionResult same_but(const std::vector<std::int64_t>& rows, const Tensor& a,
                                    const Tensor& b) {
  return same_bits(with_rows(a, rows, 0), with_rows(b, rows, 0));
}

// Query 1 of head 0 alone sees key 4, and key 1 besides; nobody sees key 5.
const AttentionMask kOneSeesIt =
    AttentionMask::bits(bits({1, 1, 0, 1, 0, 0, 0, 1, 0, 0, 1, 0, 1, 0, 1, 1, 0, 0,   // head 0
                              0, 1, 1, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0},  // head 1
                             {2, 3, 6}));

TEST(AttentionUnderAMask, LetsAKeyReachTheQueriesThatSeeItAndNoOther) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Inputs clean = random_inputs(3, 6, dtype);
    const Results expected = run(clean, kOneSeesIt);
    for (const double poison : kPoisons) {
      SCOPED_TRACE(poison);
      Inputs in = clean;
      in.k = with_rows(in.k, {4, 5}, poison);
      in.v = with_rows(in.v, {4, 5}, -poison);
      const Results got = run(in, kOneSeesIt);
      EXPECT_TRUE(same_but({1}, got.y, expected.y));
      EXPECT_TRUE(same_but({1}, got.dq, expected.dq));
      // Query 1 also sees key 1, and sends it what became of its row.
      EXPECT_TRUE(same_but({1, 4}, got.dk, expected.dk));
      EXPECT_TRUE(same_but({1, 4}, got.dv, expected.dv));
      EXPECT_TRUE(same_but({1}, got.dbias, expected.dbias));
      EXPECT_FALSE(same_bits(got.y, expected.y)) << "nobody saw the poison";
    }
  }
}

TEST(AttentionUnderAMask, LetsAQueryAndItsGradientReachTheKeysItSeesAndNoOther) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Inputs clean = random_inputs(3, 6, dtype);
    const Results expected = run(clean, kOneSeesIt);
    for (const double poison : kPoisons) {
      SCOPED_TRACE(poison);
      Inputs in = clean, in_gradient = clean;
      in.q = with_rows(in.q, {1}, poison);
      in_gradient.g = with_rows(in.g, {1}, poison);
      for (const Results& got : {run(in, kOneSeesIt), run(in_gradient, kOneSeesIt)}) {
        EXPECT_TRUE(same_but({1}, got.y, expected.y));
        EXPECT_TRUE(same_but({1}, got.dq, expected.dq));
        EXPECT_TRUE(same_but({1, 4}, got.dk, expected.dk));
        EXPECT_TRUE(same_but({1, 4}, got.dv, expected.dv));
        EXPECT_TRUE(same_but({1}, got.dbias, expected.dbias));
      }
      EXPECT_FALSE(same_bits(run(in_gradient, kOneSeesIt).dk, expected.dk));
    }
  }
}

TEST(AttentionUnderAMask, ReadsNoBiasOfAPairThatIsLeftOut) {
  const Tensor kept = kOneSeesIt.to_bits();
  for (const DType dtype : test::kFloatingDTypes) {
    const Inputs clean = random_inputs(3, 6, dtype);
    const Results expected = run(clean, kOneSeesIt);
    for (const double poison : kPoisons) {
      Inputs in = clean;
      in.bias = in.bias.clone();
      for (std::int64_t i = 0; i < kept.numel(); ++i) {
        if (!kept.data<bool>()[i]) in.bias.view(i, {}).fill(poison);
      }
      const Results got = run(in, kOneSeesIt);
      EXPECT_TRUE(same_bits(got.y, expected.y)) << poison;
      EXPECT_TRUE(same_bits(got.dq, expected.dq)) << poison;
      EXPECT_TRUE(same_bits(got.dk, expected.dk)) << poison;
      EXPECT_TRUE(same_bits(got.dv, expected.dv)) << poison;
      EXPECT_TRUE(same_bits(got.dbias, expected.dbias)) << poison;
      for (std::int64_t i = 0; i < kept.numel(); ++i) {
        if (kept.data<bool>()[i]) continue;
        EXPECT_TRUE(same_bits(got.dbias.view(i, {}), Tensor::zeros({}, dtype))) << i;
      }
    }
  }
}

TEST(AttentionUnderAMask, GivesExactlyZeroForAQueryThatSeesNothingAndSendsExactlyZeroBack) {
  for (const DType dtype : test::kFloatingDTypes) {
    Inputs in = random_inputs(3, 4, dtype);
    const AttentionMask later = AttentionMask::causal(3, 4, -1);  // query 0 sees nothing
    const Results alive = run(in, later);
    for (const double poison : kPoisons) {
      Inputs dead = in;
      dead.q = with_rows(in.q, {0, 3}, poison);
      dead.g = with_rows(in.g, {0, 3}, poison);
      const Results got = run(dead, later);
      for (const std::int64_t row : {0, 3}) {
        EXPECT_TRUE(same_bits(got.y.view(row * 2, {2}), Tensor::zeros({2}, dtype)));
        EXPECT_TRUE(same_bits(got.dq.view(row * 3, {3}), Tensor::zeros({3}, dtype)));
      }
      EXPECT_TRUE(same_bits(got.y, alive.y)) << poison;
      EXPECT_TRUE(same_bits(got.dk, alive.dk)) << poison;
      EXPECT_TRUE(same_bits(got.dv, alive.dv)) << poison;

      for (Tensor* x : {&dead.q, &dead.k, &dead.v, &dead.bias, &dead.g}) {
        *x = Tensor::full(x->shape(), poison, dtype);
      }
      const Results none = run(dead, ~AttentionMask::all(3, 4));
      for (const Tensor& zero : {none.y, none.dq, none.dk, none.dv, none.dbias}) {
        EXPECT_TRUE(same_bits(zero, Tensor::zeros(zero.shape(), dtype))) << poison;
      }
    }
  }
}

// x [1, H, T, D] with `extra` rows of `value` after those of each head.
Tensor longer(const Tensor& x, std::int64_t extra, double value) {
  const std::int64_t size = x.dim(2) * x.dim(3), more = size + extra * x.dim(3);
  Tensor y = Tensor::full(x.shape().with_dim(2, x.dim(2) + extra), value, x.dtype());
  for (std::int64_t h = 0; h < x.dim(1); ++h) {
    y.view(h * more, {size}).copy_from(x.view(h * size, {size}));
  }
  return y;
}

TEST(AttentionUnderAMask, GivesTheSameBitsWhenKeysArePadded) {
  for (const DType dtype : test::kFloatingDTypes) {
    for (const std::int64_t length : {1, 5, 16, 19}) {
      Inputs in = random_inputs(length, length, dtype);
      in.bias = Tensor::zeros({1}, dtype);
      const AttentionMask causal = AttentionMask::causal(length);
      const Results alone = run(in, causal);
      for (const std::int64_t extra : {1, 6, 16}) {
        const std::int64_t lengths[] = {length};
        const SequenceMask exists = SequenceMask::from_lengths(lengths, length + extra);
        Inputs padded = in;
        padded.k = longer(in.k, extra, kNaN);
        padded.v = longer(in.v, extra, kInf);
        const Results got = run(padded, AttentionMask::padding(exists, length) &
                                            AttentionMask::causal(length, length + extra));
        EXPECT_TRUE(same_bits(got.y, alone.y)) << length << " + " << extra;
        EXPECT_TRUE(same_bits(got.dq, alone.dq)) << length << " + " << extra;
        EXPECT_TRUE(same_bits(got.dk, longer(alone.dk, extra, 0))) << length << " + " << extra;
        EXPECT_TRUE(same_bits(got.dv, longer(alone.dv, extra, 0))) << length << " + " << extra;
      }
    }
  }
}

// Bits [B, S, T] where there are no heads: each sample by itself has the attention of its own bits.
TEST(AttentionUnderAMask, OfEachSampleWithoutHeadsIsThatOfTheSample) {
  constexpr std::int64_t kBatch = 3, kQueries = 4, kKeys = 5;
  Random random(7);
  const Tensor q = test::uniform(random, {kBatch, kQueries, 2}),
               k = test::uniform(random, {kBatch, kKeys, 2}),
               v = test::uniform(random, {kBatch, kKeys, 3}),
               keep = test::random_bits(random, {kBatch, kQueries, kKeys}, 0.5);
  const auto part = [](const Tensor& x, std::int64_t b) {
    return Variable(x[b].reshape(Shape{1}.concat(x[b].shape())));
  };
  const OpCall by_name = {.inputs = {{"q", Variable(q)},
                                     {"k", Variable(k)},
                                     {"v", Variable(v)},
                                     {"mask", Variable(keep)}},
                          .args = {}};
  const std::vector<Tensor> ways = {
      ops::scaled_dot_product_attention(Variable(q), Variable(k), Variable(v),
                                        AttentionMask::bits(keep))
          .value(),
      // What comes of algebra with a mask of all samples is one of each sample, too.
      ops::scaled_dot_product_attention(
          Variable(q), Variable(k), Variable(v),
          AttentionMask::bits(keep) & AttentionMask::all(kQueries, kKeys))
          .value(),
      run_op(find_op("scaled_dot_product_attention"), by_name).front().value()};
  for (std::int64_t b = 0; b < kBatch; ++b) {
    const Variable alone = ops::scaled_dot_product_attention(part(q, b), part(k, b), part(v, b),
                                                             AttentionMask::bits(keep[b].clone()));
    for (const Tensor& way : ways) EXPECT_TRUE(same_bits(way[b], alone.value()[0])) << b;
  }
}

TEST(AttentionUnderAMask, OfEachHeadIsNotMeantForSamplesThatHaveHeads) {
  const Variable x(Tensor::zeros({3, 1, 4, 2}, DType::kFloat64));
  const AttentionMask mask = AttentionMask::bits(Tensor::zeros({3, 4, 4}, DType::kBool));
  EXPECT_EQ(error_of([&] { ops::scaled_dot_product_attention(x, x, x, mask); }),
            "[scaled_dot_product_attention] a mask of (1, 3, 4, 4) does not fit pairs of "
            "(3, 1, 4, 4); bits [n, S, T] mean n heads, and n samples after heads_as_batch()");
  const AttentionMask of_samples = mask.heads_as_batch();
  EXPECT_EQ(ops::scaled_dot_product_attention(x, x, x, of_samples).shape(), x.shape());
  const Variable flat(Tensor::zeros({2, 4, 2}, DType::kFloat64));
  EXPECT_EQ(error_of([&] { ops::scaled_dot_product_attention(flat, flat, flat, mask); }),
            "[scaled_dot_product_attention] a mask of (1, 3, 4, 4) does not fit pairs of "
            "(2, 1, 4, 4); bits [n, S, T] mean n heads, and n samples after heads_as_batch()");
}

TEST(AttentionScores, AreProductsOfTheKeptPairsAndExactlyZeroForTheOthers) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Variable q(make({1, 2, 3, 4}, {1, 1, 2, 2}, dtype));
    const Variable k(make({5, 6, kNaN, kInf, 7, 8}, {1, 1, 3, 2}, dtype));
    const AttentionMask mask = AttentionMask::bits(bits({1, 0, 1, 0, 0, 1}, {2, 3}));
    EXPECT_TRUE(same_bits(ops::attention_scores(q, k, mask).value(),
                          make({17, 0, 23, 0, 0, 53}, {1, 1, 2, 3}, dtype)));
  }
}

TEST(AttentionValues, AreSumsOverTheKeptPairsWhateverWeightsTheOthersHave) {
  for (const DType dtype : test::kFloatingDTypes) {
    const Variable weights(make({2, kNaN, 3, kInf, 5, -kInf, 1, 1, 1}, {1, 1, 3, 3}, dtype));
    const Variable v(make({10, 20, 30}, {1, 1, 3, 1}, dtype));
    const AttentionMask mask = AttentionMask::bits(bits({1, 0, 1, 0, 1, 0, 0, 0, 0}, {3, 3}));
    EXPECT_TRUE(same_bits(ops::attention_values(weights, v, mask).value(),
                          make({110, 100, 0}, {1, 1, 3, 1}, dtype)));
  }
}

}  // namespace
}  // namespace maskgrad
