#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/layers/task_gate/choice_counts.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::make;
using ::testing::DoubleNear;
using ::testing::ElementsAre;

ChoiceCounts counts_of(const std::vector<std::vector<int>>& rows) {
  ChoiceCounts counts(rows.size(), rows[0].size());
  for (std::size_t kind = 0; kind < rows.size(); ++kind) {
    for (std::size_t c = 0; c < rows[kind].size(); ++c) {
      for (int i = 0; i < rows[kind][c]; ++i) counts.add(kind, c);
    }
  }
  return counts;
}

TEST(ChoiceCounts, CountTheBestExpertOfEachSample) {
  const Choice choice = choice_of(Variable(make({0.2, 0.8, /**/ 0, 0, /**/ 1, 0}, {3, 2})));
  ChoiceCounts counts(3, 2);
  const std::vector<std::int64_t> kinds = {2, 1, 0};
  counts.add(Tensor::from(std::span<const std::int64_t>(kinds), {3}), choice);
  EXPECT_EQ(counts.count(), 2) << "a sample without a choice does not count";
  EXPECT_EQ(counts.at(2, 1), 1);
  EXPECT_EQ(counts.at(0, 0), 1);
  EXPECT_THAT(counts.shares(1), ElementsAre(0, 0));
}

TEST(ChoiceCounts, MatchEachKindWithAnExpertOfItsOwn) {
  // By hand: kinds 0, 1, 2 to experts 2, 0, 1.
  EXPECT_EQ(counts_of({{1, 0, 9}, {8, 2, 0}, {0, 7, 3}}).matched(), 9 + 8 + 7);
  // The largest of each row are of one expert: only one kind gets it.
  const ChoiceCounts shared = counts_of({{10, 0, 0}, {9, 1, 0}, {0, 0, 5}});
  EXPECT_EQ(shared.matched(), 10 + 1 + 5);
  EXPECT_DOUBLE_EQ(shared.agreement(), 16.0 / 25);
  EXPECT_THAT(shared.shares(1), ElementsAre(0.9, 0.1, 0));
  // A fourth expert may be left over.
  EXPECT_EQ(counts_of({{0, 0, 0, 4}, {0, 3, 0, 0}}).matched(), 7);
}

// All that a row of operators and a column of experts in any order come to.
TEST(ChoiceCounts, MatchAsTheBestOfAllOrders) {
  Random random(1);
  for (int trial = 0; trial < 50; ++trial) {
    std::vector<std::vector<int>> rows(3, std::vector<int>(3));
    for (auto& row : rows) {
      for (int& n : row) n = static_cast<int>(random.below(6u));
    }
    int best = 0;
    for (std::size_t a = 0; a < 3; ++a) {
      for (std::size_t b = 0; b < 3; ++b) {
        if (b == a) continue;
        best = std::max(best, rows[0][a] + rows[1][b] + rows[2][3 - a - b]);
      }
    }
    EXPECT_EQ(counts_of(rows).matched(), best);
  }
}

TEST(ChoiceCounts, TellInformationInNats) {
  EXPECT_THAT(counts_of({{4, 0}, {0, 4}}).information(), DoubleNear(std::log(2.0), 1e-12));
  EXPECT_THAT(counts_of({{2, 4}, {1, 2}}).information(), DoubleNear(0, 1e-12));
  // H(expert) - H(expert | kind) = log 2 - 1/2 (h(1/4) + h(3/4)), with h the binary entropy.
  const double h = -0.25 * std::log(0.25) - 0.75 * std::log(0.75);
  EXPECT_THAT(counts_of({{1, 3}, {3, 1}}).information(), DoubleNear(std::log(2.0) - h, 1e-12));
  EXPECT_EQ(ChoiceCounts(2, 2).information(), 0);
  EXPECT_EQ(ChoiceCounts(2, 2).agreement(), 0);
}

TEST(ChoiceCounts, RefuseWhatTheyCannotCount) {
  EXPECT_EQ(error_of([] { ChoiceCounts(2, 3).add(2, 0); }),
            "[choice] 2 kinds and 3 experts have no 2 and 0");
  EXPECT_EQ(error_of([] { ChoiceCounts(3, 2).matched(); }),
            "[choice] 3 kinds cannot have an expert each of 2");
}

}  // namespace
}  // namespace maskgrad
