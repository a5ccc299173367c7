// Sums of many numbers: what they are, how far they round, and what changes none of their bits.
#include <atomic>
#include <chrono>
#include <cmath>
#include <numeric>
#include <random>
#include <thread>

#include <gmock/gmock.h>

#include <maskgrad/tensor/cpu/row_sums.hpp>

#include "support/threads.hpp"

namespace maskgrad {
namespace {

template <class T>
class RowSums : public ::testing::Test {
 protected:
  std::vector<T> draw(std::int64_t n) {
    std::uniform_real_distribution<T> number(-1, 1);
    std::vector<T> x(static_cast<std::size_t>(n));
    for (T& e : x) e = number(random_);
    return x;
  }

 private:
  std::mt19937_64 random_{1};
};
using FloatingTypes = ::testing::Types<float, double>;
TYPED_TEST_SUITE(RowSums, FloatingTypes);

template <class T>
std::vector<T> sums_of(const std::vector<T>& x, std::int64_t columns, std::int64_t stride) {
  std::vector<T> sums(static_cast<std::size_t>(columns), 99);
  const auto rows = static_cast<std::int64_t>(x.size()) / stride;
  sum_rows(x.data(), rows, columns, stride, sums.data());
  return sums;
}

// The sum over i of x[i * stride], as said: blocks of 32 in order, blocks in a tree by their index.
template <class T>
T tree_of_blocks(const std::vector<T>& x, std::size_t stride) {
  std::vector<T> level;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (i % stride) continue;
    if (i / stride % 32 == 0) level.push_back(0);
    level.back() += x[i];
  }
  for (; level.size() > 1;) {
    std::vector<T> next((level.size() + 1) / 2);
    for (std::size_t i = 0; i < level.size(); ++i) next[i / 2] += level[i];
    level = next;
  }
  return level.empty() ? T{} : level[0];
}

constexpr std::int64_t kCounts[] = {0, 1, 2, 31, 32, 33, 64, 65, 96, 100, 1000, 1024, 4097};

TYPED_TEST(RowSums, AreBlocksOf32RowsInATree) {
  for (const std::int64_t rows : kCounts) {
    for (const std::int64_t columns : {1, 3, 4, 7, 16, 17, 64, 65, 150}) {
      const std::int64_t stride = columns + columns % 3;
      const auto x = this->draw(rows * stride);
      const auto sums = sums_of(x, columns, stride);
      for (std::int64_t j = 0; j < columns; ++j) {
        const std::vector<TypeParam> from_j(x.begin() + std::min<std::int64_t>(j, rows * stride),
                                            x.end());
        ASSERT_EQ(sums[static_cast<std::size_t>(j)],
                  tree_of_blocks(from_j, static_cast<std::size_t>(stride)))
            << rows << " rows, column " << j << " of " << columns;
      }
    }
  }
}

TYPED_TEST(RowSums, OfARowAreSixteenSumsOfRowsThenTheirTree) {
  for (const std::int64_t n : {0, 1, 15, 16, 17, 500, 512, 513, 528, 1024, 5000, 20000}) {
    const auto x = this->draw(n);
    auto padded = x;
    padded.resize(static_cast<std::size_t>((n + 15) / 16 * 16));
    std::vector<TypeParam> lanes = sums_of(padded, 16, 16);
    for (std::size_t half = 8; half > 0; half /= 2) {
      for (std::size_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
    }
    EXPECT_EQ(
        sum_terms<TypeParam>(n, [&](std::int64_t j) { return x[static_cast<std::size_t>(j)]; }),
        lanes[0])
        << n;
  }
}

TYPED_TEST(RowSums, OfManyRowsAreThoseOfEachOnAnyNumberOfThreads) {
  for (const std::int64_t n : {0, 1, 700, 8192, 8193, 8704, 40'000, 100'003}) {
    for (const std::int64_t rows : {0, 1, 3}) {
      const auto x = this->draw(rows * n);
      const auto term = [&](std::int64_t i, std::int64_t j) {
        return x[static_cast<std::size_t>(i * n + j)];
      };
      std::vector<TypeParam> expected;
      for (std::int64_t i = 0; i < rows; ++i) {
        expected.push_back(sum_terms<TypeParam>(n, [&](std::int64_t j) { return term(i, j); }));
      }
      for (const int threads : {1, 3}) {
        const test::WithThreads some(threads);
        std::vector<TypeParam> sums(static_cast<std::size_t>(rows), 99);
        sum_terms_of_rows(rows, n, 1, term, sums.data());
        EXPECT_EQ(sums, expected) << n << " on " << threads << " threads";
      }
    }
  }
}

// The first to come waits for another thread, which has a part of its own to add.
TEST(TermsOfRows, OfOneLongRowAreAddedOnSeveralThreads) {
  const test::WithThreads two(2);
  const auto first = std::this_thread::get_id();
  std::atomic<bool> others_came = false;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  const auto term = [&](std::int64_t, std::int64_t) {
    if (std::this_thread::get_id() != first) others_came = true;
    while (!others_came && std::chrono::steady_clock::now() < until) std::this_thread::yield();
    return 1.0;
  };
  double sum = 0;
  sum_terms_of_rows(1, 100'000, 1, term, &sum);
  EXPECT_EQ(sum, 100'000);
  EXPECT_TRUE(others_came);
}

TYPED_TEST(RowSums, DoNotChangeWithZerosAtTheEnd) {
  constexpr std::int64_t kColumns = 5;
  for (const std::int64_t rows : kCounts) {
    const auto x = this->draw(rows * kColumns);
    const auto term = [](const auto& of) {
      return [&of](std::int64_t j) { return of[static_cast<std::size_t>(j)]; };
    };
    for (const std::int64_t more : {1, 31, 32, 33, 1000, 5000}) {
      auto longer = x;
      longer.resize(x.size() + static_cast<std::size_t>(more * kColumns));
      EXPECT_EQ(sums_of(longer, kColumns, kColumns), sums_of(x, kColumns, kColumns));
      EXPECT_EQ(sum_terms<TypeParam>(std::ssize(longer), term(longer)),
                sum_terms<TypeParam>(std::ssize(x), term(x)));
    }
  }
}

TYPED_TEST(RowSums, RoundLittleHoweverManyTheyAre) {
  constexpr std::int64_t kMany = 10'000'000;
  constexpr auto kTerm = static_cast<TypeParam>(0.1);
  const double expected = static_cast<double>(kTerm) * kMany;
  const double bound = 8 * std::numeric_limits<TypeParam>::epsilon() * expected;
  EXPECT_NEAR(sum_terms<TypeParam>(kMany, [](std::int64_t) { return kTerm; }), expected, bound);
  const std::vector<TypeParam> x(kMany, kTerm);
  EXPECT_NEAR(sums_of(x, 1, 1)[0], expected, bound);
}

// Rows that never come count as zeros.
TYPED_TEST(RowSums, OfATreeMaySkipRows) {
  for (const std::int64_t count : {1, 2, 3, 5, 8, 13, 64}) {
    for (std::uint64_t come = 0; come < 64; ++come) {
      const auto x = this->draw(count);
      PairwiseSum<TypeParam> all(1), some(1);
      for (std::int64_t i = 0; i < count; ++i) {
        const bool comes = come * 0x9e3779b97f4a7c15 >> i & 1;
        const TypeParam value = comes ? x[static_cast<std::size_t>(i)] : 0;
        *all.row() = value;
        all.add();
        if (!comes) continue;
        *some.row() = value;
        some.add(i);
      }
      TypeParam sum_of_all = 99, sum_of_some = 99;
      all.finish(&sum_of_all);
      some.finish(&sum_of_some);
      EXPECT_EQ(sum_of_all, sum_of_some);
    }
  }
}

TYPED_TEST(RowSums, OfATreeCanBeScaledOnTheWay) {
  for (std::int64_t until = 1; until <= 20; ++until) {
    PairwiseSum<TypeParam> sum(2);
    TypeParam expected = 0;
    for (std::int64_t i = 0; i < until; ++i) {
      std::fill_n(sum.row(), 2, static_cast<TypeParam>(i + 1));
      sum.add();
      sum.for_each_partial([](TypeParam* row) { row[1] *= 2; });
      expected = 2 * (expected + static_cast<TypeParam>(i + 1));
    }
    TypeParam sums[2];
    sum.finish(sums);
    EXPECT_EQ(sums[0], static_cast<TypeParam>(until * (until + 1) / 2));
    EXPECT_EQ(sums[1], expected);
  }
}

}  // namespace
}  // namespace maskgrad
