// A generator as numbers, and back.
#include <cstdint>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include <maskgrad/tensor/random.hpp>

#include "support/errors.hpp"

namespace maskgrad {
namespace {

void expect_goes_on(Random random, const char* what, int drawn) {
  Random restored = Random::from_state(random.state());
  EXPECT_EQ(restored.state(), random.state()) << what << ' ' << drawn;
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(restored.bits32(), random.bits32()) << what << ' ' << drawn << ", word " << i;
  }
}

TEST(RandomState, GoesOnWithTheSameWordsWhereverItWasTaken) {
  for (int drawn = 0; drawn < 10; ++drawn) {
    Random random(0xfedcba9876543210, 0xffffffff, 0x8000000000000001);
    for (int i = 0; i < drawn; ++i) random.bits32();
    expect_goes_on(random, "words", drawn);
    for (const std::uint64_t skipped : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{2},
                                        std::uint64_t{1} << 33, (std::uint64_t{1} << 33) + 1}) {
      Random further = random;
      further.skip_uniforms(skipped);
      expect_goes_on(further, "words, and numbers skipped, after", drawn);
    }
  }
}

TEST(RandomState, RefusesNumbersThatAreNone) {
  const auto error = [](const std::vector<std::int64_t>& numbers) {
    return test::error_of([&] { Random::from_state(numbers); });
  };
  EXPECT_EQ(error({1, 2, 3, 4, 2}), "no error");
  EXPECT_EQ(error({-1, 0, -1, 0, 4}), "no error");
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(error({1, 2, 3, kMost, 4}), "no error");
  for (const std::vector<std::int64_t>& wrong :
       std::vector<std::vector<std::int64_t>>{{},
                                              {1, 2, 3, 4},
                                              {1, 2, 3, 4, 2, 0},
                                              {1, -1, 3, 4, 2},           // no stream
                                              {1, 0x100000000, 3, 4, 2},  // no stream
                                              {1, 2, 3, -1, 4},           // no block
                                              {1, 2, 3, 4, -1},           // no word
                                              {1, 2, 3, 4, 5},            // no word
                                              {1, 2, 3, 0, 2}}) {  // words of a block before any
    EXPECT_EQ(error(wrong), "[random] these numbers are no state of a generator")
        << ::testing::PrintToString(wrong);
  }
}

}  // namespace
}  // namespace maskgrad
