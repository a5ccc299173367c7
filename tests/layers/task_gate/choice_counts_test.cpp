#include <algorithm>
#include <cmath>
#include <numeric>

#include <gmock/gmock.h>

#include <maskgrad/layers/task_gate/choice_counts.hpp>
#include <maskgrad/layers/task_gate/entropy.hpp>

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

TEST(ChoiceCounts, MatchAsTheBestOfAllOrdersOfMoreExperts) {
  Random random(2);
  for (std::size_t kinds = 1; kinds <= 4; ++kinds) {
    for (std::size_t experts = kinds; experts <= 5; ++experts) {
      std::vector<std::vector<int>> rows(kinds, std::vector<int>(experts));
      for (auto& row : rows) {
        for (int& n : row) n = static_cast<int>(random.below(9u));
      }
      std::vector<std::size_t> order(experts);
      std::iota(order.begin(), order.end(), std::size_t{0});
      int best = 0;
      do {
        int sum = 0;
        for (std::size_t kind = 0; kind < kinds; ++kind) sum += rows[kind][order[kind]];
        best = std::max(best, sum);
      } while (std::next_permutation(order.begin(), order.end()));
      EXPECT_EQ(counts_of(rows).matched(), best) << kinds << " of " << experts;
    }
  }
}

// No count is above what a kind and an expert are worth together. So no matching is above the sum
// of all that they are worth, and the one with as much in each count comes to that.
TEST(ChoiceCounts, MatchManyKindsAtOnce) {
  constexpr std::size_t kKinds = 40, kExperts = 60;
  Random random(3);
  std::vector<std::vector<int>> rows(kKinds, std::vector<int>(kExperts));
  std::vector<int> kind_worth(kKinds), expert_worth(kExperts);
  for (int& worth : kind_worth) worth = static_cast<int>(random.below(10u));
  for (std::size_t c = 0; c < kExperts; ++c) {
    // Those that stay without a kind are worth nothing.
    expert_worth[c] = c % 3 == 2 ? 0 : static_cast<int>(random.below(10u));
  }
  int sum = 0;
  for (std::size_t kind = 0; kind < kKinds; ++kind) {
    const std::size_t own = kind % 2 + (kKinds - 1 - kind) / 2 * 3;
    for (std::size_t c = 0; c < kExperts; ++c) {
      const int most = kind_worth[kind] + expert_worth[c];
      rows[kind][c] = c == own ? most : static_cast<int>(random.integer(0, most));
    }
    sum += rows[kind][own];
  }
  EXPECT_EQ(counts_of(rows).matched(), sum);
  ChoiceCounts few(2, 15);
  few.add(0, 14);
  few.add(1, 14);
  few.add(1, 3);
  EXPECT_EQ(few.matched(), 2);
}

TEST(ChoiceCounts, TellInformationInNats) {
  EXPECT_THAT(counts_of({{4, 0}, {0, 4}}).information(), DoubleNear(std::log(2.0), 1e-12));
  EXPECT_THAT(counts_of({{2, 4}, {1, 2}}).information(), DoubleNear(0, 1e-12));
  // H(expert) - H(expert | kind) = log 2 - 1/2 (h(1/4) + h(3/4)), with h the binary entropy.
  const double h = -0.25 * std::log(0.25) - 0.75 * std::log(0.75);
  EXPECT_THAT(counts_of({{1, 3}, {3, 1}}).information(), DoubleNear(std::log(2.0) - h, 1e-12));
  EXPECT_EQ(ChoiceCounts(2, 2).information(), 0);
  EXPECT_EQ(ChoiceCounts(2, 2).agreement(), 0);
  for (int n = 1; n < 50; ++n) {
    EXPECT_GE(counts_of({{n, 3 * n, 7}, {2 * n, 6 * n, 14}}).information(), 0) << "rounding";
  }
}

TEST(EntropyOf, IsThatOfTheSharesOfItsWeights) {
  const std::vector<double> alike(5, 0.3), one = {0, 7, 0}, nothing = {0, 0}, none, some = {2, 6},
                                           unknown = {1, test::kNaN}, lost = {test::kNaN};
  EXPECT_NEAR(entropy_of(alike), std::log(5.0), 1e-12);
  EXPECT_NEAR(entropy_of(some), -0.25 * std::log(0.25) - 0.75 * std::log(0.75), 1e-12);
  for (const auto& sure : {one, nothing, none}) EXPECT_EQ(entropy_of(sure), 0);
  for (const auto& bad : {unknown, lost}) EXPECT_TRUE(std::isnan(entropy_of(bad)));
}

TEST(ChoiceCounts, RefuseWhatTheyCannotCount) {
  EXPECT_EQ(error_of([] { ChoiceCounts(2, 3).add(2, 0); }),
            "[choice] 2 kinds and 3 experts have no 2 and 0");
  EXPECT_EQ(error_of([] { ChoiceCounts(3, 2).matched(); }),
            "[choice] 3 kinds cannot have an expert each of 2");
  EXPECT_EQ(error_of([] { ChoiceCounts(2, 3).at(0, 3); }),
            "[choice] 2 kinds and 3 experts have no 0 and 3");
  EXPECT_EQ(error_of([] { ChoiceCounts(2, 3).shares(2); }), "[choice] 2 kinds have no 2");
}

// What is wrong stands behind rows that are sound.
TEST(ChoiceCounts, CountNothingOfABatchThatTheyRefuse) {
  const Choice choice = choice_of(Variable(make({1, 0, /**/ 0, 1, /**/ 1, 0}, {3, 2})));
  const auto kinds = [](const std::vector<std::int64_t>& of) {
    return Tensor::from(std::span<const std::int64_t>(of), {std::ssize(of)});
  };
  ChoiceCounts counts(2, 2);
  EXPECT_EQ(error_of([&] {
              counts.add(kinds({0, 1, 2}), choice);
            }),
            "[choice] 2 kinds and 2 experts have no 2 and 0");
  EXPECT_EQ(error_of([&] {
              counts.add(kinds({0, 1, -1}), choice);
            }),
            "[choice] 2 kinds have no -1");
  EXPECT_EQ(error_of([&] {
              counts.add(kinds({0, 1}), choice);
            }),
            "[choice] there are kinds int64 (2,) of samples (3,)");
  ChoiceCounts few(2, 1);
  EXPECT_EQ(error_of([&] {
              few.add(kinds({0, 1, 0}), choice);
            }),
            "[choice] a best of 1 is none of 1 candidates");
  EXPECT_EQ(counts.count() + few.count(), 0);
}

}  // namespace
}  // namespace maskgrad
