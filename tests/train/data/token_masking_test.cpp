#include <numeric>
#include <set>

#include <gmock/gmock.h>

#include <maskgrad/ops/mask/with_mask.hpp>
#include <maskgrad/ops/nn/loss.hpp>
#include <maskgrad/train/data/token_masking.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::make;
using test::same_bits;
using test::to_doubles;

constexpr std::int64_t kVocabulary = 1000;
constexpr std::int64_t kMaskToken = 3;

TokenMaskingOptions bert_options() {
  return {.mask_token = kMaskToken, .vocabulary = kVocabulary, .special = {1, 2}, .seed = 11};
}

Tensor repeated(double token, std::int64_t batch, std::int64_t length,
                DType dtype = DType::kInt64) {
  return Tensor::full({batch, length}, token, dtype);
}

std::vector<std::int64_t> ids_from(std::int64_t first, std::int64_t count) {
  std::vector<std::int64_t> ids(static_cast<std::size_t>(count));
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

/// Calls f(mask) with a mask of each kind.
template <class F>
void for_both_kinds(const TokenMaskingOptions& options, F&& f) {
  {
    SCOPED_TRACE("random_mask");
    f(RandomMask(options));
  }
  SCOPED_TRACE("span_mask");
  f(SpanMask(options));
}

/// Within five standard deviations of what `trials` independent ones with probability p give.
void expect_share(double hits, double trials, double p) {
  EXPECT_NEAR(hits, trials * p, 5 * std::sqrt(trials * p * (1 - p))) << "of " << trials;
}

struct FateCounts {
  double mask_token = 0, changed = 0, same = 0, all = 0;
};

FateCounts count_fates(const MaskedTokens& masked) {
  const auto seen = to_doubles(masked.tokens), targets = to_doubles(masked.targets);
  const auto chosen = to_doubles(masked.chosen.bits());
  FateCounts counts;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    if (chosen[i] == 0) {
      EXPECT_EQ(seen[i], targets[i]) << "a token that was not chosen";
      continue;
    }
    ++counts.all;
    ++(seen[i] == kMaskToken   ? counts.mask_token
       : seen[i] != targets[i] ? counts.changed
                               : counts.same);
  }
  return counts;
}

// Lengths of the runs of chosen places, which are the spans where spans are few.
std::vector<std::int64_t> runs_of(const SequenceMask& chosen) {
  std::vector<std::int64_t> runs;
  const bool* bits = chosen.bits().data<bool>();
  const std::int64_t length = chosen.shape()[1];
  for (std::int64_t i = 0; i < chosen.shape().numel(); ++i) {
    if (!bits[i]) continue;
    if (i % length == 0 || !bits[i - 1]) runs.push_back(0);
    ++runs.back();
  }
  return runs;
}

TEST(RandomMask, ChoosesEachTokenByItselfWithTheShare) {
  const RandomMask mask(bert_options());
  constexpr std::int64_t kSamples = 1000, kLength = 200;
  const MaskedTokens masked = mask(repeated(7, kSamples, kLength), ids_from(0, kSamples), 0);
  expect_share(static_cast<double>(masked.chosen.kept()), kSamples * kLength, 0.15);
  // The numbers of the samples vary as those of independent choices do.
  double squares = 0;
  const std::vector<double> bits = to_doubles(masked.chosen.bits());
  for (auto row = bits.begin(); row != bits.end(); row += kLength) {
    squares += std::pow(std::accumulate(row, row + kLength, 0.0) - 0.15 * kLength, 2);
  }
  const double variance = 0.15 * 0.85 * kLength;
  EXPECT_NEAR(squares / kSamples, variance, 5 * variance * std::sqrt(2.0 / kSamples));
}

TEST(RandomMask, GivesTheChosenTokensTheFatesOfBert) {
  const RandomMask mask = RandomMask::bert(kMaskToken, kVocabulary, {1, 2}, 11);
  const FateCounts counts = count_fates(mask(repeated(7, 500, 400), ids_from(0, 500), 3));
  const double drawn_anew = 1.0 - 1.0 / (kVocabulary - 4);  // and not the token that was there
  expect_share(counts.all, 500 * 400, 0.15);
  expect_share(counts.mask_token, counts.all, 0.8);
  expect_share(counts.changed, counts.all, 0.1 * drawn_anew);
  expect_share(counts.same, counts.all, 1 - 0.8 - 0.1 * drawn_anew);
}

TEST(RandomMask, DrawsRandomTokensUniformlyOverThoseThatAreNotSpared) {
  const RandomMask mask({.mask_token = 3,
                         .vocabulary = 10,
                         .share = 1,
                         .to_mask_token = 0,
                         .to_random_token = 1,
                         .special = {9, 1, 1, 77}});
  std::vector<double> seen(10);
  const std::vector<double> tokens =
      to_doubles(mask(repeated(5, 1, 6000), ids_from(4, 1), 0).tokens);
  for (const double token : tokens) ++seen.at(static_cast<std::size_t>(token));
  double chi_square = 0;
  for (const std::size_t token : {2U, 4U, 5U, 6U, 7U, 8U}) {
    chi_square += (seen[token] - 1000) * (seen[token] - 1000) / 1000;
  }
  EXPECT_LT(chi_square, 25.7);  // exceeded once in 10,000 times with 5 degrees of freedom
  EXPECT_EQ(seen[0] + seen[1] + seen[3] + seen[9], 0);
}

TEST(SpanMask, ReachesTheShareOfEachSampleToARoundingThatIsRightInTheMean) {
  const SpanMask mask(bert_options());
  constexpr std::int64_t kSamples = 4000;
  double ones = 0;
  for (std::int64_t id = 0; id < kSamples; ++id) {
    const std::int64_t count = mask(repeated(7, 1, 11), ids_from(id, 1), 0).chosen.kept();
    EXPECT_TRUE(count == 1 || count == 2) << count;  // 0.15 * 11 = 1.65
    ones += count == 1;
  }
  expect_share(ones, kSamples, 0.35);
}

TEST(SpanMask, DrawsLengthsWhoseMeanIsThatOfSpanBert) {
  TokenMaskingOptions options = bert_options();
  options.share = 0.01;  // so that spans hardly ever touch, and few are cut short at the end
  const MaskedTokens masked = SpanMask(options)(repeated(7, 50, 40000), ids_from(0, 50), 0);
  const std::vector<std::int64_t> runs = runs_of(masked.chosen);
  double mean = 0, square = 0;
  const auto p = [](double l) { return 0.2 * std::pow(0.8, l - 1) / (1 - std::pow(0.8, 10)); };
  for (double l = 1; l <= 10; ++l) {
    mean += l * p(l);
    square += l * l * p(l);
  }
  ASSERT_NEAR(mean, 3.8, 0.01) << "the paper's mean";
  const auto count = static_cast<double>(runs.size());
  EXPECT_NEAR(std::accumulate(runs.begin(), runs.end(), 0.0) / count, mean,
              5 * std::sqrt((square - mean * mean) / count));
  expect_share(static_cast<double>(std::count(runs.begin(), runs.end(), 1)), count, p(1));
  expect_share(static_cast<double>(std::count(runs.begin(), runs.end(), 10)), count, p(10));
}

TEST(SpanMask, TakesLengthsUpToTheLargestAllowed) {
  TokenMaskingOptions options = bert_options();
  options.share = 0.0002;  // two tokens of 10,000
  const auto runs = [&](SpanLengths lengths) {
    return runs_of(SpanMask(options, lengths)(repeated(7, 40, 10000), ids_from(0, 40), 0).chosen);
  };
  EXPECT_EQ(runs({.p = 1}), std::vector<std::int64_t>(80, 1));
  EXPECT_EQ(runs({.p = 0.001, .max = 1}), std::vector<std::int64_t>(80, 1));
  EXPECT_EQ(runs({.p = 0.001, .max = 1000}), std::vector<std::int64_t>(40, 2));
}

TEST(SpanMask, GivesASpanOneFateWithTheSharesOfBert) {
  TokenMaskingOptions options = bert_options();
  options.share = 0.02;  // two tokens of 100; nearly all lengths drawn are longer
  const SpanMask mask(options, {.p = 0.001, .max = 1000});
  FateCounts pairs;
  for (std::int64_t id = 0; id < 3000; ++id) {
    const MaskedTokens masked = mask(repeated(7, 1, 100), ids_from(id, 1), 0);
    if (runs_of(masked.chosen) != std::vector<std::int64_t>{2}) continue;
    const FateCounts counts = count_fates(masked);
    ++pairs.all;
    pairs.mask_token += counts.mask_token == 2;
    pairs.changed += counts.changed == 2;
    pairs.same += counts.same == 2;
  }
  EXPECT_GT(pairs.all, 2900);
  EXPECT_GE(pairs.mask_token + pairs.changed + pairs.same, pairs.all - 3)
      << "a random token may be the one that was there";
  expect_share(pairs.mask_token, pairs.all, 0.8);
  expect_share(pairs.changed, pairs.all, 0.1);
  expect_share(pairs.same, pairs.all, 0.1);
}

TEST(SpanMask, EndsSpansAtSparedTokens) {
  TokenMaskingOptions options = bert_options();
  options.share = 0.3;
  const SpanMask mask(options, {.p = 0.001, .max = 1000});
  const Tensor tokens = Tensor::from<std::int64_t>({7, 7, 7, 1, 7, 7, 7, 1, 7, 7, 7, 0}, {1, 12});
  std::vector<int> reached(12);
  for (std::int64_t id = 0; id < 500; ++id) {
    const std::vector<double> bits = to_doubles(mask(tokens, ids_from(id, 1), 0).chosen.bits());
    for (std::size_t s = 0; s < bits.size(); ++s) reached[s] += bits[s] != 0;
  }
  for (const std::size_t s : {3U, 7U, 11U}) EXPECT_EQ(reached[s], 0) << s;
  for (const std::size_t s : {0U, 2U, 4U, 6U, 8U, 10U}) EXPECT_GT(reached[s], 0) << s;
}

// What an implementation of Philox and of these rules in another language gives.
TEST(TokenMasking, GivesTheSameMasksOnEveryMachine) {
  const TokenMaskingOptions options = {
      .mask_token = 19, .vocabulary = 20, .share = 0.5, .special = {1}, .seed = 7};
  const std::vector<double> tokens = {2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 12, 13, 14, 15, 16, 0, 0};
  const std::vector<std::int64_t> early = {5}, last = {(std::int64_t{1} << 40) - 1};
  const auto expect = [&](const MaskedTokens& masked, const std::vector<double>& seen,
                          const std::vector<double>& chosen) {
    EXPECT_EQ(to_doubles(masked.tokens), seen);
    EXPECT_EQ(to_doubles(masked.chosen.bits()), chosen);
  };
  const Tensor x = make(tokens, {1, 18}, DType::kInt64);
  expect(RandomMask(options)(x, early, 0),
         {2, 3, 19, 5, 19, 19, 8, 9, 10, 19, 1, 12, 8, 14, 15, 16, 0, 0},
         {0, 0, 1, 0, 1, 1, 0, 0, 1, 1, 0, 1, 1, 0, 0, 0, 0, 0});
  expect(SpanMask(options)(x, early, 0),
         {19, 19, 19, 5, 6, 19, 19, 19, 10, 11, 1, 12, 13, 14, 15, 16, 0, 0},
         {1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0});
  constexpr std::int64_t kLastEpoch = (1 << 24) - 1;
  expect(RandomMask(options)(x, last, kLastEpoch),
         {19, 3, 19, 5, 6, 7, 8, 19, 10, 19, 1, 19, 13, 14, 15, 19, 0, 0},
         {1, 0, 1, 0, 0, 0, 0, 1, 0, 1, 0, 1, 1, 0, 0, 1, 0, 0});
  expect(SpanMask(options)(x, last, kLastEpoch),
         {2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 12, 13, 14, 15, 19, 0, 0},
         {0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 1, 1, 1, 0, 1, 0, 0});
}

TEST(TokenMasking, GivesASampleTheSameMaskInAnyBatchOrderAndPadding) {
  TokenMaskingOptions options = bert_options();
  options.share = 0.4;
  // Samples 20..25 in one batch, and then each with another one before it and more padding.
  Tensor together = Tensor::empty({6, 30}, DType::kInt64);
  std::iota(together.data<std::int64_t>(), together.data<std::int64_t>() + 180, 100);
  for_both_kinds(options, [&](const auto& mask) {
    const MaskedTokens first = mask(together, ids_from(20, 6), 2);
    for (std::int64_t b = 0; b < 6; ++b) {
      Tensor padded = Tensor::zeros({2, 50}, DType::kInt64);
      padded.view(0, {50}).fill(9);
      padded.view(57, {30}).copy_from(together.view(b * 30, {30}));
      const MaskedTokens second = mask(padded, std::vector<std::int64_t>{7, 20 + b}, 2);
      EXPECT_TRUE(same_bits(first.tokens.view(b * 30, {30}), second.tokens.view(57, {30})));
      EXPECT_TRUE(
          same_bits(first.chosen.bits().view(b * 30, {30}), second.chosen.bits().view(57, {30})));
    }
  });
}

TEST(TokenMasking, GivesOtherMasksToOtherEpochsSamplesSeedsAndKinds) {
  const Tensor tokens = repeated(7, 1, 300);
  std::set<std::vector<double>> masks;
  for (const std::uint64_t seed : {11U, 12U}) {
    TokenMaskingOptions options = bert_options();
    options.seed = seed;
    for_both_kinds(options, [&](const auto& mask) {
      for (const auto& [id, epoch] : {std::pair{0, 0}, {1, 0}, {0, 1}}) {
        masks.insert(to_doubles(mask(tokens, ids_from(id, 1), epoch).chosen.bits()));
      }
    });
  }
  EXPECT_EQ(masks.size(), 12U) << "2 seeds, 2 kinds, 3 pairs of sample and epoch";
}

TEST(TokenMasking, SparesPaddingSpecialTokensAndTheMaskToken) {
  TokenMaskingOptions options = bert_options();
  options.share = 1;
  options.pad = 8;
  options.special = {5, 1};
  const std::vector<std::int64_t> spared = {1, kMaskToken, 5, 8};
  std::vector<double> tokens;
  for (int i = 0; i < 4000; ++i) tokens.push_back(i % 10);
  for_both_kinds(options, [&](const auto& mask) {
    const MaskedTokens masked = mask(make(tokens, {4, 1000}, DType::kInt64), ids_from(0, 4), 0);
    EXPECT_EQ(masked.chosen, SequenceMask::from_tokens(masked.targets, spared))
        << "with a share of 1 all others are chosen";
    const auto seen = to_doubles(masked.tokens);
    for (std::size_t i = 0; i < seen.size(); ++i) {
      if (seen[i] == tokens[i] || seen[i] == kMaskToken) continue;
      EXPECT_TRUE(seen[i] >= 0 && seen[i] < kVocabulary);
      EXPECT_THAT(spared, ::testing::Not(::testing::Contains(static_cast<std::int64_t>(seen[i]))));
    }
  });
}

TEST(TokenMasking, ChoosesNothingWhereThereIsNothingToChoose) {
  for_both_kinds(bert_options(), [](const auto& mask) {
    const auto expect_unchanged = [&](const Tensor& tokens) {
      const MaskedTokens masked = mask(tokens, ids_from(0, tokens.dim(0)), 0);
      EXPECT_TRUE(same_bits(masked.tokens, tokens));
      EXPECT_EQ(masked.chosen.shape(), tokens.shape());
      EXPECT_EQ(masked.chosen.kept(), 0);
    };
    expect_unchanged(repeated(7, 0, 20));
    expect_unchanged(repeated(7, 3, 0));
    expect_unchanged(repeated(0, 3, 20));
    expect_unchanged(repeated(2, 3, 20));
  });
  TokenMaskingOptions none = bert_options();
  none.share = 0;
  for_both_kinds(none, [](const auto& mask) {
    EXPECT_EQ(mask(repeated(7, 3, 500), ids_from(0, 3), 0).chosen.kept(), 0);
  });
}

TEST(TokenMasking, LeavesTheGivenTokensOfEitherTypeAloneAndReturnsThemAsTargets) {
  for_both_kinds(bert_options(), [](const auto& mask) {
    const Tensor wide = repeated(7, 5, 80), narrow = wide.to(DType::kInt32);
    const MaskedTokens of_wide = mask(wide, ids_from(0, 5), 1);
    const MaskedTokens of_narrow = mask(narrow, ids_from(0, 5), 1);
    EXPECT_TRUE(of_wide.targets.is_same_view(wide) && of_narrow.targets.is_same_view(narrow));
    EXPECT_TRUE(same_bits(wide, repeated(7, 5, 80)));
    EXPECT_FALSE(is_identical(of_wide.tokens, wide));
    EXPECT_EQ(of_narrow.tokens.dtype(), DType::kInt32);
    EXPECT_TRUE(same_bits(of_narrow.tokens.to(DType::kInt64), of_wide.tokens));
    EXPECT_EQ(of_narrow.chosen, of_wide.chosen);
  });
}

TEST(TokenMasking, ChoosesThePlacesThatALossCounts) {
  for_both_kinds(bert_options(), [](const auto& mask) {
    const MaskedTokens masked = mask(repeated(7, 5, 80), ids_from(0, 5), 0);
    const Variable logits(Tensor::zeros({5, 80, kVocabulary}, DType::kFloat64));
    const auto loss = ops::cross_entropy(ops::with_mask(logits, masked.chosen), masked.targets);
    EXPECT_EQ(loss.count, masked.chosen.kept());
    EXPECT_NEAR(loss.sum.item(), static_cast<double>(loss.count) * std::log(kVocabulary), 1e-9);
  });
}

/// What the constructors of both kinds say, without the name.
void expect_refused(const TokenMaskingOptions& options, const std::string& text) {
  EXPECT_EQ(error_of([&] { RandomMask{options}; }), "[random_mask] " + text);
  EXPECT_EQ(error_of([&] { SpanMask{options}; }), "[span_mask] " + text);
}

TEST(TokenMasking, RefusesOptionsThatMeanNothing) {
  TokenMaskingOptions o = bert_options();
  for (const auto& [share, text] : {std::pair{1.5, "1.5"}, {-0.5, "-0.5"}, {std::nan(""), "nan"}}) {
    o.share = share;
    expect_refused(o, std::string("share must be 0 to 1, not ") + text);
  }
  o = bert_options();
  o.to_random_token = 0.25;
  expect_refused(o, "to_mask_token and to_random_token must add up to at most 1: 0.8 and 0.25");
  o.to_random_token = -1;
  expect_refused(o, "to_random_token must be 0 to 1, not -1");
  o.to_mask_token = 2;
  expect_refused(o, "to_mask_token must be 0 to 1, not 2");
  expect_refused({.mask_token = 3}, "vocabulary must be 1 to 2147483647, not 0");
  expect_refused({.mask_token = 3, .vocabulary = std::int64_t{1} << 31},
                 "vocabulary must be 1 to 2147483647, not 2147483648");
  expect_refused({.mask_token = 3, .vocabulary = 3}, "mask token 3 is outside the vocabulary of 3");
  expect_refused({.vocabulary = 20}, "mask token -1 is outside the vocabulary of 20");
  expect_refused({.mask_token = 3, .vocabulary = 20, .pad = 3},
                 "mask token and padding must differ: both are 3");
  expect_refused({.mask_token = 1, .vocabulary = 3, .special = {2}},
                 "no random tokens to draw: all 3 ids of the vocabulary are spared");
}

TEST(TokenMasking, RefusesWhatIsNoBatchWithAnIdForEachSample) {
  for_both_kinds(bert_options(), [](const auto& mask) {
    const std::string name = std::is_same_v<std::decay_t<decltype(mask)>, RandomMask>
                                 ? "[random_mask] "
                                 : "[span_mask] ";
    const auto refusal = [&](const Tensor& tokens, const std::vector<std::int64_t>& ids,
                             std::int64_t epoch) {
      return error_of([&] { mask(tokens, ids, epoch); });
    };
    const Tensor tokens = repeated(7, 2, 20);
    EXPECT_EQ(refusal(tokens, {1}, 0), name + "needs a sample id for each sample: 1 for (2, 20)");
    EXPECT_EQ(refusal(tokens.reshape({40}), {1}, 0), name + "needs tokens [B, S], got (40,)");
    EXPECT_EQ(refusal(tokens.to(DType::kFloat32), {0, 1}, 0), name + "does not take float32");
    EXPECT_EQ(refusal(tokens, {0, 1}, -1), name + "epoch must be 0 to 16777215, not -1");
    EXPECT_EQ(refusal(tokens, {0, 1}, 1 << 24), name + "epoch must be 0 to 16777215, not 16777216");
    EXPECT_EQ(refusal(tokens, {0, -1}, 0), name + "sample ids must be 0 to 1099511627775, not -1");
    EXPECT_EQ(refusal(tokens, {std::int64_t{1} << 40, 1}, 0),
              name + "sample ids must be 0 to 1099511627775, not 1099511627776");
  });
}

TEST(SpanMask, RefusesLengthsThatCannotBeDrawn) {
  const auto refusal = [](SpanLengths lengths) {
    return error_of([&] { SpanMask(bert_options(), lengths); });
  };
  EXPECT_EQ(refusal({.p = 0}), "[span_mask] p must be 0.001 to 1, not 0");
  EXPECT_EQ(refusal({.p = 1.5}), "[span_mask] p must be 0.001 to 1, not 1.5");
  EXPECT_EQ(refusal({.max = 0}), "[span_mask] max must be at least 1, not 0");
}

}  // namespace
}  // namespace maskgrad
