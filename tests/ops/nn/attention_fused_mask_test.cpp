// What attention promises under a mask where queries share tiles and keys share chunks.
#include <set>

#include <gmock/gmock.h>

#include <maskgrad/ops/cpu/attention/tiles.hpp>
#include <maskgrad/tensor/cpu/pool.hpp>

#include "ops/nn/attention_runs.hpp"
#include "support/heads.hpp"

namespace maskgrad {
namespace {

using ops::AttentionOptions;
using test::AttentionInputs;
using test::AttentionResults;
using test::AttentionSizes;
using test::heads_together;
using test::kInf;
using test::kNaN;
using test::random_attention;
using test::run_fused;
using test::same_bits;
using Int = std::int64_t;
using Rows = std::set<Int>;  // of a tensor along its last dimension

constexpr double kLargest = std::numeric_limits<float>::max();
constexpr double kPoisons[] = {1e30, -1e30, kLargest, kInf, -kInf, kNaN};

Tensor with_rows(const Tensor& x, const Rows& rows, double value) {
  Tensor y = x.clone();
  for (const Int row : rows) y.view(row * x.dim(-1), {x.dim(-1)}).fill(value);
  return y;
}

// Which rows may depend on some keys, or on some queries: [B, H, S] of those that see one of them,
// and [B, H_kv, T] of the keys that such a query sees.
struct Reached {
  Rows queries, keys;
};

Reached reached_from(const AttentionSizes& d, const AttentionMask& mask, const Rows& keys,
                     const Rows& queries) {
  Reached reached = {queries, keys};
  const auto for_each_pair = [&](auto f) {
    for (Int row = 0; row < d.batch * d.heads * d.queries; ++row) {
      const Int b = row / d.queries / d.heads, h = row / d.queries % d.heads;
      const Int first = (b * d.key_heads + h / (d.heads / d.key_heads)) * d.keys;
      for (Int t = 0; t < d.keys; ++t) {
        if (mask.keeps(b, h, row % d.queries, t)) f(row, first + t);
      }
    }
  };
  for_each_pair([&](Int query, Int key) {
    if (keys.contains(key)) reached.queries.insert(query);
  });
  for_each_pair([&](Int query, Int key) {
    if (reached.queries.contains(query)) reached.keys.insert(key);
  });
  return reached;
}

// The same bits everywhere but in the rows that are reached.
::testing::AssertionResult same_elsewhere(AttentionResults a, AttentionResults b,
                                          const Reached& reached) {
  for (AttentionResults* x : {&a, &b}) {
    x->y = with_rows(x->y, reached.queries, 0);
    x->dq = with_rows(x->dq, reached.queries, 0);
    x->dk = with_rows(x->dk, reached.keys, 0);
    x->dv = with_rows(x->dv, reached.keys, 0);
    x->dbias = with_rows(x->dbias, reached.queries, 0);
  }
  return same_bits(a, b);
}

// Poison in keys and values, in queries, and in what arrives at queries.
void expect_no_leak(const AttentionSizes& d, const AttentionMask& mask, const Rows& keys,
                    const Rows& queries, const AttentionOptions& options = {}) {
  Random random(1);
  AttentionInputs clean = random_attention(random, d);
  clean.bias = test::uniform(random, d.pairs());
  const Reached from_keys = reached_from(d, mask, keys, {}),
                from_queries = reached_from(d, mask, {}, queries);
  ASSERT_FALSE(from_keys.queries.empty()) << "nobody sees the poison";
  ASSERT_LT(from_keys.queries.size(), static_cast<std::size_t>(d.batch * d.heads * d.queries));
  for (const DType dtype : test::kFloatingDTypes) {
    const AttentionInputs in = clean.to(dtype);
    const AttentionResults expected = run_fused(in, mask, options);
    for (const double poison : kPoisons) {
      SCOPED_TRACE(fmt::format("{} {} under {}", to_string(dtype), poison, mask.recipe()));
      AttentionInputs bad_keys = in, bad_values = in, bad_queries = in, bad_gradients = in;
      bad_keys.k = with_rows(in.k, keys, poison);
      bad_values.v = with_rows(in.v, keys, poison);
      bad_queries.q = with_rows(in.q, queries, poison);
      bad_gradients.g = with_rows(in.g, queries, poison);
      const AttentionResults with_values = run_fused(bad_values, mask, options);
      EXPECT_TRUE(same_elsewhere(with_values, expected, from_keys));
      EXPECT_FALSE(same_bits(with_values.y, expected.y)) << "the poison had no effect";
      EXPECT_TRUE(same_elsewhere(run_fused(bad_keys, mask, options), expected, from_keys));
      EXPECT_TRUE(same_elsewhere(run_fused(bad_queries, mask, options), expected, from_queries));
      EXPECT_TRUE(same_elsewhere(run_fused(bad_gradients, mask, options), expected, from_queries));
    }
  }
}

TEST(FusedAttentionUnderAMask, LetsAKeyReachTheQueriesThatSeeItAndNoOtherOfTheirTile) {
  // Intervals: queries 60 to 80 or so see key 70, others of the two tiles do not.
  const AttentionSizes d = {1, 2, 1, 130, 130, 17, 18};
  expect_no_leak(d, AttentionMask::window(130, 130, 9, 10), {70}, {70, 130 + 3});
  expect_no_leak(d, AttentionMask::causal(130), {100, 120}, {40, 130 + 129});
  expect_no_leak(d, AttentionMask::window(130, 130, 5, 0) | AttentionMask::sink(130, 130, 1),
                 {63, 64}, {64, 130 + 63});
}

TEST(FusedAttentionUnderAMask, LetsAKeyReachThoseWhoseBitsSayIt) {
  // Queries 5 and 66 of the one head, and 70 of the other, see keys of three chunks that no other
  // query sees, and few besides.
  Random random(2);
  const AttentionSizes d = {1, 2, 1, 130, 140, 16, 5};
  Tensor bits = test::random_bits(random, {1, 2, 130, 140}, 0.5);
  for (Int row = 0; row < 260; ++row) {
    bool* keeps = bits.data<bool>() + row * 140;
    const bool sees = row == 5 || row == 66 || row == 130 + 70;
    for (const Int key : {7, 64, 139}) keeps[key] = sees;
    for (Int key = 0; key < 140 && sees; ++key) keeps[key] = keeps[key] && key % 7 == 0;
  }
  const AttentionMask mask = AttentionMask::bits(bits);
  expect_no_leak(d, mask, {7, 64, 139}, {5, 66, 200});
  expect_no_leak(d, mask, {7, 64, 139}, {5, 66, 200},
                 {.scale = 4.0, .softcap = 3.0, .dropout = 0.2, .random = Random(0)});
}

TEST(FusedAttentionUnderAMask, LetsSegmentsReachThemselvesAlone) {
  Tensor ids = Tensor::empty({2, 130}, DType::kInt32);
  for (Int i = 0; i < 260; ++i) ids.data<std::int32_t>()[i] = static_cast<std::int32_t>(i / 20);
  const AttentionMask segments = AttentionMask::segments(ids);
  const AttentionSizes d = {2, 2, 2, 130, 130, 8, 8};
  expect_no_leak(d, segments, {25, 130 + 64, 300}, {25, 70, 411});
  expect_no_leak(d, segments & AttentionMask::causal(130), {25, 130 + 64, 300}, {25, 70, 411});
}

TEST(FusedAttentionUnderAMask, GivesAQueryTheSameBitsWhateverTheOthersOfItsTileSee) {
  Random random(8);
  constexpr Int kKeys = 1100;
  const AttentionSizes d = {1, 1, 1, 130, kKeys, 9, 7};
  const AttentionInputs in = random_attention(random, d);
  for (const AttentionMask& own :
       {AttentionMask::window(130, kKeys, 3, 90), AttentionMask::window(130, kKeys, 3, 900),
        AttentionMask::bits(test::random_bits(random, {130, kKeys}))}) {
    const Tensor kept = own.to_bits();
    for (const DType dtype : test::kFloatingDTypes) {
      const AttentionResults expected = run_fused(in.to(dtype), own);
      for (const double share : {0.0, 0.02, 0.5, 1.0}) {
        Tensor bits = test::random_bits(random, {130, kKeys}, share);
        const Rows rows = {3, 40, 66, 128};
        for (const Int row : rows) {
          bits.view(row * kKeys, {kKeys}).copy_from(kept.view(row * kKeys, {kKeys}));
        }
        const AttentionResults got = run_fused(in.to(dtype), AttentionMask::bits(bits));
        for (const Int row : rows) {
          EXPECT_TRUE(same_bits(got.y.view(row * 7, {7}), expected.y.view(row * 7, {7}))) << share;
          EXPECT_TRUE(same_bits(got.dq.view(row * 9, {9}), expected.dq.view(row * 9, {9})));
        }
      }
    }
  }
}

TEST(FusedAttentionUnderAMask, ReadsNoBiasOfAPairThatIsLeftOut) {
  Random random(3);
  const AttentionSizes d = {1, 1, 1, 70, 130, 5, 6};
  for (const AttentionMask& mask : {AttentionMask::causal(70, 130, 20),
                                    AttentionMask::bits(test::random_bits(random, {70, 130}))}) {
    const Tensor kept = mask.to_bits();
    AttentionInputs in = random_attention(random, d);
    in.bias = test::uniform(random, d.pairs());
    for (const DType dtype : test::kFloatingDTypes) {
      AttentionInputs inputs = in.to(dtype);
      const AttentionResults expected = run_fused(inputs, mask, {.softcap = 2.0});
      inputs.bias = inputs.bias.clone();
      for (Int i = 0; i < kept.numel(); ++i) {
        if (!kept.data<bool>()[i]) inputs.bias.view(i, {}).fill(kPoisons[i % 6]);
      }
      EXPECT_TRUE(same_bits(run_fused(inputs, mask, {.softcap = 2.0}), expected));
    }
  }
}

// No element is -0 either.
bool is_zero(const Tensor& x) { return is_identical(x, Tensor::zeros(x.shape(), x.dtype())); }

TEST(FusedAttentionUnderAMask, GivesExactlyZeroForAQueryThatSeesNothingAndSendsExactlyZeroBack) {
  Random random(4);
  const AttentionSizes d = {1, 2, 1, 130, 130, 17, 5};
  // No query before 70 sees anything, nor does anyone see a key after 59.
  const AttentionMask late = AttentionMask::causal(130, 130, -70);
  for (const DType dtype : test::kFloatingDTypes) {
    for (const AttentionMask& mask : {late, ~AttentionMask::all(130, 130), late & ~late}) {
      for (const double scale : {0.5, -0.5}) {
        AttentionInputs in = random_attention(random, d).to(dtype);
        for (const double poison : {-1.0, kInf, kNaN}) {
          for (Int h = 0; h < 2; ++h) {
            in.q.view(h * 130 * 17, {70, 17}).fill(poison);
            in.g.view(h * 130 * 5, {70, 5}).fill(poison);
          }
          const AttentionResults got = run_fused(in, mask, {.scale = scale});
          for (Int h = 0; h < 2; ++h) {
            EXPECT_TRUE(is_zero(got.y.view(h * 130 * 5, {70, 5}))) << poison;
            EXPECT_TRUE(is_zero(got.dq.view(h * 130 * 17, {70, 17}))) << poison << " " << scale;
          }
          EXPECT_TRUE(is_zero(got.dk.view(60 * 17, {70, 17}))) << poison << " " << scale;
          EXPECT_TRUE(is_zero(got.dv.view(60 * 5, {70, 5}))) << poison << " " << scale;
          EXPECT_EQ(is_zero(got.dv), mask.kept() == 0);
        }
      }
    }
  }
}

// x [B, H, S, D] with rows of `value` up to `length` of them.
Tensor padded(const Tensor& x, Int length, double value) {
  const Int heads = x.dim(0) * x.dim(1), size = x.dim(2) * x.dim(3), more = length * x.dim(3);
  Tensor y = Tensor::full(x.shape().with_dim(2, length), value, x.dtype());
  for (Int h = 0; h < heads; ++h) y.view(h * more, {size}).copy_from(x.view(h * size, {size}));
  return y;
}

void expect_same_bits_when_padded(Int length, std::initializer_list<Int> sizes) {
  Random random(5);
  const AttentionSizes d = {2, 4, 2, length, length, 20, 17};
  const AttentionInputs in = random_attention(random, d);
  const Int lengths[] = {length, length / 2};
  const auto mask = [&](Int size) {
    return AttentionMask::existing(SequenceMask::from_lengths(lengths, size));
  };
  for (const DType dtype : test::kFloatingDTypes) {
    const AttentionInputs alone = in.to(dtype);
    for (const Int size : sizes) {
      for (const bool causal : {false, true}) {
        for (const double poison : {0.0, kNaN, kInf}) {
          AttentionInputs longer = alone;
          for (Tensor* x : {&longer.q, &longer.k, &longer.v, &longer.g}) {
            *x = padded(*x, size, poison);
          }
          const AttentionOptions options = {.softcap = 3.0};
          const auto with = [&](Int s) {
            return causal ? mask(s) & AttentionMask::causal(s) : mask(s);
          };
          const AttentionResults expected = run_fused(alone, with(length), options);
          EXPECT_TRUE(same_bits(run_fused(longer, with(size), options),
                                {padded(expected.y, size, 0), padded(expected.dq, size, 0),
                                 padded(expected.dk, size, 0), padded(expected.dv, size, 0)}))
              << to_string(dtype) << " " << size << " " << poison;
        }
      }
    }
  }
}

TEST(FusedAttentionUnderAMask, GivesTheSameBitsWhenSamplesArePadded) {
  expect_same_bits_when_padded(70, {71, 128, 130});
}

TEST(FusedAttentionUnderAMask, GivesTheSameBitsWhenLongSamplesArePadded) {
  expect_same_bits_when_padded(500, {513, 1100});
}

// Queries behind the end, from which nothing comes back: they may change how blocks are cut, but
// not in which order a key, or a bias that all pairs share, adds up what its queries send.
void expect_same_bits_behind(Int length) {
  Random random(8);
  const AttentionSizes d = {1, 2, 1, length, length, 4, 4};
  AttentionInputs in = random_attention(random, d).to(DType::kFloat32);
  in.bias = Tensor::full({}, 0.25, DType::kFloat32);
  const auto windows = [](Int size) {
    return std::vector{
        AttentionMask::window(size, size, 62, 2), AttentionMask::window(size, size, 9, 30),
        AttentionMask::window(size, size, 80, 0) | AttentionMask::sink(size, size, 3),
        AttentionMask::causal(size), ~AttentionMask::window(size, size, 20, 40)};
  };
  const auto under = [length](const AttentionMask& mask, Int size) {
    const Int lengths[] = {length};
    return mask & AttentionMask::padding(SequenceMask::from_lengths(lengths, size));
  };
  for (std::size_t i = 0; i < windows(1).size(); ++i) {
    const AttentionResults alone = run_fused(in, under(windows(length)[i], length));
    for (const Int more : {1, 5, 16, 26, 43, 68, 76}) {
      const Int size = length + more;
      AttentionInputs longer = in;
      for (Tensor* x : {&longer.q, &longer.k, &longer.v, &longer.g}) *x = padded(*x, size, 0);
      const AttentionResults found = run_fused(longer, under(windows(size)[i], size));
      SCOPED_TRACE(fmt::format("mask {}, {} queries", i, size));
      EXPECT_TRUE(same_bits(found.dk, padded(alone.dk, size, 0)));
      EXPECT_TRUE(same_bits(found.dv, padded(alone.dv, size, 0)));
      EXPECT_TRUE(same_bits(found.dbias, alone.dbias));
      for (Int h = 0; h < d.heads; ++h) {
        const auto rows = [&](const Tensor& x) { return x.view(h * x.dim(2) * 4, {length, 4}); };
        EXPECT_TRUE(same_bits(rows(found.y), rows(alone.y)));
        EXPECT_TRUE(same_bits(rows(found.dq), rows(alone.dq)));
      }
    }
  }
}

TEST(FusedAttentionUnderAMask, GivesTheSameBitsWhenQueriesStandBehindASampleWhateverItsBlocks) {
  for (const Int length : {124, 509}) expect_same_bits_behind(length);
}

TEST(FusedAttentionUnderAMask, TakesMemoryInProportionToTheLength) {
  const auto bytes = [](Int size) {
    Random random(6);
    const AttentionInputs in =
        random_attention(random, {1, 1, 1, size, size, 8, 8}).to(DType::kFloat32);
    const std::uint64_t before = Pool::cpu().stats().bytes_handed_out;
    run_fused(in, AttentionMask::causal(size));
    return static_cast<double>(Pool::cpu().stats().bytes_handed_out - before);
  };
  if (bytes(1) == 0) GTEST_SKIP() << "under AddressSanitizer the pool counts nothing";
  // A table of pairs would take four times as much for twice the length.
  EXPECT_LT(bytes(512), 2.2 * bytes(256));
  EXPECT_LT(bytes(2048), 2.2 * bytes(1024));  // where sums are trees
  EXPECT_LT(bytes(2048), 2048.0 * 2048);
}

TEST(FusedAttentionUnderAMask, PassesOnWhichQueriesExist) {
  const SequenceMask exists(test::bits({1, 1, 0, 1, 0, 0}, {2, 3}));
  Random random(7);
  const auto draw = [&](Int features) { return test::uniform(random, {2, 3, features}); };
  const AttentionInputs in = {draw(4), draw(4), draw(5), draw(5)};
  const AttentionResults plain = run_fused(in, AttentionMask::existing(exists)),
                         got = run_fused(in, ops::AttentionPlan::existing(exists));
  EXPECT_TRUE(got.mask == exists);
  EXPECT_FALSE(plain.mask.defined());
  EXPECT_TRUE(same_bits(got, plain));
}

// Groups of tiles and of keys have trees of sums; 600 positions have several.
TEST(FusedAttentionUnderAMask, TakesGroupedHeadsThatShareRows) {
  Random random(8);
  for (const Int length : {3, 70, 600}) {
    const AttentionSizes d = {2, 4, 2, length, length, 3, 7};
    const AttentionInputs in = random_attention(random, d);
    const AttentionInputs rows = {heads_together(in.q), heads_together(in.k), heads_together(in.v),
                                  heads_together(in.g)};
    for (const AttentionMask& mask : attention_masks(random, d)) {
      const auto expected = run_fused(in, mask).all();
      const auto found = run_fused(rows, mask, {.heads = 4}).all();
      for (std::size_t i = 0; i < 4; ++i) {
        EXPECT_TRUE(test::same_bits(found[i].second, heads_together(expected[i].second)))
            << found[i].first << ", " << length;
      }
    }
  }
}

TEST(AttentionPlan, KeepsWhatItIsMadeOf) {
  const SequenceMask exists(test::bits({1, 1, 0, 1, 0, 0}, {2, 3}));
  const auto plan = ops::AttentionPlan::existing(exists, AttentionMask::causal(3));
  EXPECT_TRUE(plan.pairs() == (AttentionMask::existing(exists) & AttentionMask::causal(3)));
  EXPECT_TRUE(plan.queries() == exists);
  EXPECT_FALSE(ops::AttentionPlan().defined());
  EXPECT_FALSE(ops::AttentionPlan(AttentionMask()).defined());
  EXPECT_FALSE(ops::AttentionPlan(AttentionMask::causal(3)).queries().defined());
}

}  // namespace
}  // namespace maskgrad
