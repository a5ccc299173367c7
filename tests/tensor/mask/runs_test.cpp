// Runs of kept keys in a row of bits, against a walk from bit to bit.
#include <memory>

#include <gtest/gtest.h>

#include <maskgrad/tensor/mask/runs.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

TEST(Runs, AreFoundFromEveryPlaceOfRowsOfEveryLength) {
  Random random(5);
  for (std::int32_t keys = 0; keys <= 40; ++keys) {
    for (const double share : {0.0, 0.1, 0.5, 0.95, 1.0}) {
      const Tensor bits = test::random_bits(random, {std::max(1, keys)}, share);
      const bool* row = bits.data<bool>();
      for (std::int32_t from = 0; from <= keys; ++from) {
        std::int32_t lo = from;
        while (lo < keys && !row[lo]) ++lo;
        std::int32_t hi = lo;
        while (hi < keys && row[hi]) ++hi;
        EXPECT_EQ(next_run(row, from, keys), (lo < keys ? KeyInterval{lo, hi} : KeyInterval{}))
            << keys << " keys from " << from;
      }
    }
  }
}

TEST(SegmentRuns, OfACopyAreItsOwn) {
  const std::int64_t first[] = {3, 3, 1, 3}, second[] = {-1, 2, 2, 2};
  auto runs = std::make_unique<SegmentRuns>(4);
  runs->read(first);
  const SegmentRuns copy = *runs;
  runs->read(second);
  runs.reset();
  const auto of = [&](std::int64_t s) { return Runs(copy[s].begin(), copy[s].end()); };
  EXPECT_EQ(of(0), (Runs{{0, 2}, {3, 4}}));
  EXPECT_EQ(of(2), (Runs{{2, 3}}));
  EXPECT_EQ(of(3), of(0));
}

TEST(SegmentRuns, RefusesMorePositionsThanRunsCanName) {
  EXPECT_EQ(test::error_of([] { SegmentRuns(-1); }),
            "[attention_mask] cannot cut -1 positions into segments");
  EXPECT_EQ(test::error_of([] { SegmentRuns(std::int64_t{1} << 31); }),
            "[attention_mask] cannot cut 2147483648 positions into segments");
}

}  // namespace
}  // namespace maskgrad
