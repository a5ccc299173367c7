#include <array>
#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include <maskgrad/tensor/philox.hpp>

#include "support/errors.hpp"

namespace maskgrad {
namespace {

using Words = std::array<std::uint32_t, 4>;

// Philox4x32-10 by its definition (Salmon et al. 2011, section 3.3 and table 2).
Words philox(Words counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57} * counter[2];
    const auto high = [](std::uint64_t p) { return static_cast<std::uint32_t>(p >> 32); };
    const auto low = [](std::uint64_t p) { return static_cast<std::uint32_t>(p); };
    counter = {high(p1) ^ counter[1] ^ key[0], low(p1), high(p0) ^ counter[3] ^ key[1], low(p0)};
    key = {key[0] + 0x9E3779B9, key[1] + 0xBB67AE85};
  }
  return counter;
}

Words next_block(Random& random) {
  Words words;
  for (std::uint32_t& word : words) word = random.bits32();
  return words;
}

TEST(Philox, ByItsDefinitionMatchesThePublishedVectors) {
  // Random123's kat_vectors, philox4x32 with 10 rounds.
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr std::uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(philox({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Random, StartsWithThePublishedVectorOfZeros) {
  Random random(0);
  EXPECT_EQ(next_block(random), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
}

TEST(Random, CountsBlocksUnderItsStreamAndStepAndIsKeyedByItsSeed) {
  const std::uint64_t seed = 0x299f31d0a4093822, step = 0x0370734413198a2e;
  const std::uint32_t stream = 0x85a308d3;
  Random random(seed, stream, step);
  for (std::uint32_t block = 0; block < 50; ++block) {
    EXPECT_EQ(next_block(random),
              philox({block, stream, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}));
  }
}

TEST(Random, RepeatsItself) {
  Random a(7, 3, 9), b(7, 3, 9);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(a.bits32(), b.bits32());
}

TEST(Random, SkipsWhatItWouldHaveDrawn) {
  // Any number of words may have been drawn before: a uniform number takes two of them, a block
  // holds four.
  for (int drawn = 0; drawn < 10; ++drawn) {
    for (const std::uint64_t count : {0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 9u, 1000u, 1001u}) {
      Random skipping(7, 3, 9), drawing(7, 3, 9);
      for (int i = 0; i < drawn; ++i) skipping.bits32(), drawing.bits32();
      skipping.skip_uniforms(count);
      for (std::uint64_t i = 0; i < count; ++i) drawing.uniform();
      for (int i = 0; i < 9; ++i) {
        EXPECT_EQ(skipping.bits32(), drawing.bits32())
            << drawn << " drawn, " << count << " skipped";
      }
    }
  }
}

TEST(UniformNumbers, AreThoseOfTheGeneratorInAnyOrder) {
  for (const std::uint64_t skipped : {std::uint64_t{0}, (std::uint64_t{1} << 33) - 5}) {
    for (int drawn = 0; drawn < 10; ++drawn) {
      Random random(7, 3, 9);
      random.skip_uniforms(skipped);
      for (int i = 0; i < drawn; ++i) random.bits32();
      const philox::UniformNumbers numbers(random);
      for (const std::uint64_t n : {0u, 1u, 2u, 9u, 3u, 10u, 11u, 1000u, 0u}) {
        Random own = random;
        own.skip_uniforms(n);
        EXPECT_EQ(numbers(n), own.uniform()) << drawn << " words drawn, number " << n;
      }
    }
  }
}

TEST(Random, SkipsInStepsAsAtOnce) {
  Random once(1, 2, 3), steps(1, 2, 3);
  once.skip_uniforms(100);
  for (const std::uint64_t count : {1u, 0u, 50u, 49u}) steps.skip_uniforms(count);
  EXPECT_EQ(once.uniform(), steps.uniform());
}

TEST(Random, SkipsMoreThanCouldBeDrawnInATest) {
  // A block holds two uniform numbers.
  Random random(0);
  random.skip_uniforms((1ull << 32) + 6);
  EXPECT_EQ(next_block(random), philox({(1u << 31) + 3, 0, 0, 0}, {0, 0}));
  random = Random(0);
  random.uniform();
  random.skip_uniforms(1ull << 32);
  random.uniform();
  EXPECT_EQ(next_block(random), philox({(1u << 31) + 1, 0, 0, 0}, {0, 0}));
}

// The first two words that Philox gives for the number of a part, under the seed's own key.
std::array<std::uint32_t, 2> key_of_part(std::uint32_t part, std::array<std::uint32_t, 2> seed) {
  const Words words = philox({part, stream_of("key"), 0, 0}, seed);
  return {words[0], words[1]};
}

TEST(Random, GoesOnUnderAKeyOfItsOwnBehindEachFourBillionBlocks) {
  const std::array<std::uint32_t, 2> seed = {0xa4093822, 0x299f31d0};
  Random random(0x299f31d0a4093822, 5, 7);
  random.skip_uniforms((1ull << 33) - 2);  // two numbers a block
  EXPECT_EQ(next_block(random), philox({0xffffffff, 5, 7, 0}, seed));
  EXPECT_EQ(next_block(random), philox({0, 5, 7, 0}, key_of_part(1, seed)));
  EXPECT_EQ(next_block(random), philox({1, 5, 7, 0}, key_of_part(1, seed)));
  random.skip_uniforms((1ull << 33) * 9 + 1);
  random.uniform();
  EXPECT_EQ(next_block(random), philox({3, 5, 7, 0}, key_of_part(10, seed)));
}

TEST(Random, RepeatsNothingWhereItsCounterOf32BitsBeginsAgain) {
  std::set<Words> blocks;
  for (const std::uint64_t part : {0u, 1u, 2u, 3u, 1u << 20}) {
    Random random(3);
    random.skip_uniforms(part << 33);
    for (int i = 0; i < 100; ++i) blocks.insert(next_block(random));
  }
  EXPECT_EQ(blocks.size(), 500U);
}

TEST(Random, SkipsExactlyOrNotAtAll) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  Random random(1), last(1);
  random.skip_uniforms(kMost);  // of 2^64 numbers
  last.skip_uniforms(1ull << 63);
  last.skip_uniforms((1ull << 63) - 1);
  EXPECT_EQ(test::error_of([&] { random.skip_uniforms(2); }),
            "[random] has not 2 numbers left to skip");
  EXPECT_EQ(random.uniform(), last.uniform()) << "the refused skip left it where it was";
  EXPECT_EQ(test::error_of([&] { random.bits32(); }), "[random] has given all of its numbers");
  random = Random(1);
  random.bits32();
  random.skip_uniforms(kMost);
  random.bits32();
  EXPECT_EQ(test::error_of([&] { random.bits32(); }), "[random] has given all of its numbers");
}

TEST(Random, DiffersInEverySeedStreamAndStep) {
  std::set<Words> firsts;
  std::size_t made = 0;
  for (const std::uint64_t seed : {0ull, 1ull, 1ull << 32, 1ull << 63}) {
    for (const std::uint32_t stream : {0u, 1u, 1u << 31, stream_of("dropout")}) {
      for (const std::uint64_t step : {0ull, 1ull, 1ull << 32, 1ull << 63}) {
        Random random(seed, stream, step);
        firsts.insert(next_block(random));
        ++made;
      }
    }
  }
  EXPECT_EQ(firsts.size(), made);
}

TEST(Random, IsUniformBetweenZeroAndOne) {
  Random random(11);
  constexpr int kBins = 16, kDraws = 160000;
  std::array<int, kBins> count{};
  double sum = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double u = random.uniform();
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    EXPECT_EQ(std::ldexp(u, 53), std::floor(std::ldexp(u, 53)));
    ++count[static_cast<std::size_t>(u * kBins)];
    sum += u;
  }
  double chi2 = 0;
  constexpr double kExpected = double{kDraws} / kBins;
  for (const int n : count) chi2 += (n - kExpected) * (n - kExpected) / kExpected;
  EXPECT_LT(chi2, 37.7);  // 15 degrees of freedom, one in a thousand
  EXPECT_NEAR(sum / kDraws, 0.5, 4 * std::sqrt(1.0 / 12 / kDraws));
}

TEST(Random, NeverReachesTheUpperEndOfAnInterval) {
  constexpr double kNext = 1 + std::numeric_limits<double>::epsilon(), kTiny = 5e-324;
  const std::array<double, 2> intervals[] = {{1, kNext},   {-kNext, -1},    {1, 1 + 1e-14},
                                             {0, kTiny},   {-kTiny, 0},     {1e300, 2e300},
                                             {-1, 1e-300}, {1e16, 1e16 + 2}};
  for (const auto& [low, high] : intervals) {
    Random random(1);
    for (int i = 0; i < 2000; ++i) {
      const double x = random.uniform(low, high);
      ASSERT_GE(x, low) << low << " to " << high;
      ASSERT_LT(x, high) << low << " to " << high;
    }
  }
}

TEST(Random, DrawsFromNoIntervalThatIsEmptyOrEndless) {
  constexpr double kInf = std::numeric_limits<double>::infinity(),
                   kNaN = std::numeric_limits<double>::quiet_NaN();
  const std::array<double, 2> refused[] = {{1, 1},    {2, 1},    {0, kInf},       {-kInf, 0},
                                           {kNaN, 1}, {0, kNaN}, {-1e308, 1e308}, {kInf, kInf}};
  for (const auto& [low, high] : refused) {
    Random random(1);
    EXPECT_EQ(test::error_of([&, from = low, to = high] { random.uniform(from, to); }),
              fmt::format("[random] cannot draw from [{}, {})", low, high));
  }
}

TEST(Random, UsesAllFiftyThreeBitsOfAUniformNumber) {
  Random random(5);
  std::uint64_t seen_set = 0, seen_clear = 0;
  for (int i = 0; i < 200; ++i) {
    const auto word = static_cast<std::uint64_t>(std::ldexp(random.uniform(), 53));
    seen_set |= word;
    seen_clear |= ~word;
  }
  constexpr std::uint64_t kAll = (1ull << 53) - 1;
  EXPECT_EQ(seen_set, kAll);
  EXPECT_EQ(seen_clear & kAll, kAll);
}

TEST(Random, StaysBelowABoundWithoutFavour) {
  // For this bound, taking the high word without rejection would give multiples of 3 too often:
  // half of all draws instead of a third.
  constexpr std::uint32_t kBound = 0xC0000000;
  Random random(2);
  std::array<int, 3> count{};
  constexpr int kDraws = 30000;
  for (int i = 0; i < kDraws; ++i) {
    const std::uint32_t n = random.below(kBound);
    ASSERT_LT(n, kBound);
    ++count[n % 3];
  }
  for (const int n : count) EXPECT_NEAR(n, kDraws / 3, 5 * std::sqrt(kDraws * 2.0 / 9));
}

TEST(Random, StaysBelowABoundOf64BitsWithoutFavour) {
  constexpr std::uint64_t kBound = 0xC000000000000000;
  Random random(2);
  std::array<int, 3> count{};
  constexpr int kDraws = 30000;
  for (int i = 0; i < kDraws; ++i) {
    const std::uint64_t n = random.below(kBound);
    ASSERT_LT(n, kBound);
    ++count[n % 3];
  }
  for (const int n : count) EXPECT_NEAR(n, kDraws / 3, 5 * std::sqrt(kDraws * 2.0 / 9));
}

TEST(Random, DrawsTheSameBelowASmallBoundOf32AndOf64Bits) {
  for (const std::uint32_t bound : {1u, 2u, 1000u, 0xC0000000u, 0xffffffffu}) {
    Random narrow(6), wide(6);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(narrow.below(bound), wide.below(std::uint64_t{bound}));
  }
}

TEST(Random, SpreadsOverABoundJustAbove32Bits) {
  constexpr std::uint64_t kBound = (1ull << 32) + 2;
  Random random(3);
  int upper = 0;
  for (int i = 0; i < 10000; ++i) {
    const std::uint64_t n = random.below(kBound);
    ASSERT_LT(n, kBound);
    upper += n >= kBound / 2;
  }
  EXPECT_NEAR(upper, 5000, 5 * 50);
  EXPECT_EQ(test::error_of([&] { random.below(0); }), "[random] there is no number below 0");
  EXPECT_EQ(test::error_of([&] { random.below(std::uint64_t{0}); }),
            "[random] there is no number below 0");
}

TEST(Random, ReachesEveryIntegerOfASmallRange) {
  Random random(2);
  std::array<int, 7> count{};
  for (int i = 0; i < 7000; ++i) ++count[static_cast<std::size_t>(random.integer(-3, 3) + 3)];
  for (const int n : count) EXPECT_NEAR(n, 1000, 5 * std::sqrt(1000));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(random.below(1), 0U);
  EXPECT_EQ(random.integer(5, 5), 5);
}

TEST(Random, RefusesARangeItCannotDrawFrom) {
  Random random(5);
  EXPECT_EQ(test::error_of([&] { return random.integer(2, 1); }), "[random] cannot draw from 2..1");
}

TEST(Random, DrawsFromAnyRangeOfIntegers) {
  constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min(),
                         kMost = std::numeric_limits<std::int64_t>::max();
  Random random(5);
  int negative = 0, large = 0;
  for (int i = 0; i < 10000; ++i) {
    negative += random.integer(kLeast, kMost) < 0;
    const std::int64_t n = random.integer(0, 0xffffffff);
    ASSERT_TRUE(n >= 0 && n <= 0xffffffff);
    large += n > 0x7fffffff;
    ASSERT_LE(random.integer(kLeast, kLeast + 1), kLeast + 1);
    ASSERT_GE(random.integer(kLeast + 1, kMost), kLeast + 1);
  }
  EXPECT_NEAR(negative, 5000, 5 * 50);
  EXPECT_NEAR(large, 5000, 5 * 50);
  EXPECT_EQ(random.integer(kMost, kMost), kMost);
}

TEST(Random, TossesAFairCoin) {
  Random random(4);
  int heads = 0;
  for (int i = 0; i < 10000; ++i) heads += random.coin();
  EXPECT_NEAR(heads, 5000, 5 * 50);
}

TEST(StreamOf, IsTheFowlerNollVoHash) {
  // FNV-1a, 32 bits, from the test vectors of its authors.
  EXPECT_EQ(stream_of(""), 0x811c9dc5U);
  EXPECT_EQ(stream_of("a"), 0xe40c292cU);
  EXPECT_EQ(stream_of("foobar"), 0xbf9cf968U);
}

}  // namespace
}  // namespace maskgrad
