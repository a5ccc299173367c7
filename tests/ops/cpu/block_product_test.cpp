// The inner loop of products, and the one that skips what is masked, against sums of whole numbers.
#include <cstring>

#include <gmock/gmock.h>

#include <maskgrad/ops/cpu/attention/careful_product.hpp>

#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using ops::kLanes;
using ops::Strided;
using ops::Use;
using test::kInf;
using test::kNaN;

template <class T>
class BlockProduct : public ::testing::Test {};
using FloatingTypes = ::testing::Types<float, double>;
TYPED_TEST_SUITE(BlockProduct, FloatingTypes);

template <class T>
using Values = std::vector<T>;

// Whole numbers, whose sums are exact.
template <class T>
Values<T> whole(Random& random, std::int64_t n) {
  Values<T> x(static_cast<std::size_t>(n));
  for (T& e : x) e = static_cast<T>(random.integer(-9, 9));
  return x;
}
template <class T>
Values<T> real(Random& random, std::int64_t n) {
  Values<T> x(static_cast<std::size_t>(n));
  for (T& e : x) e = static_cast<T>(random.uniform(-1, 1));
  return x;
}
template <class T>
bool same_bits(const Values<T>& a, const Values<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

struct Sizes {
  std::int64_t rows, columns, depth;
};

// Rows of b and of c are `gap` further apart than they are long; a is row by row, or column by
// column.
template <bool kPart, class T>
void expect_product(Random& random, const Sizes& d, Use use, bool by_columns, std::int64_t gap) {
  const std::int64_t stride = d.columns + gap;
  const auto a = whole<T>(random, d.rows * d.depth), b = whole<T>(random, d.depth * stride),
             before = whole<T>(random, d.rows * stride);
  Values<T> c = before;
  const Strided<T> left = {a.data(), by_columns ? 1 : d.depth, by_columns ? d.rows : 1};
  ops::block_product<kPart>(d.rows, d.columns, d.depth, left, b.data(), stride,
                            ops::Sums<T>{c.data(), stride, use});
  for (std::int64_t i = 0; i < d.rows; ++i) {
    for (std::int64_t j = 0; j < stride; ++j) {
      const auto at = static_cast<std::size_t>(i * stride + j);
      T expected = j >= d.columns || use != Use::kStore ? before[at] : T{};
      for (std::int64_t p = 0; p < d.depth && j < d.columns; ++p) {
        expected +=
            left.data[i * left.row + p * left.column] * b[static_cast<std::size_t>(p * stride + j)];
      }
      ASSERT_EQ(c[at], expected) << d.rows << " x " << d.columns << " x " << d.depth << " at " << i
                                 << ", " << j;
    }
  }
}

template <bool kPart, class T>
void expect_products(Random& random, const Sizes& d) {
  for (const bool by_columns : {false, true}) {
    for (const std::int64_t gap : {0, 5}) {
      expect_product<kPart, T>(random, d, Use::kStore, by_columns, gap);
      expect_product<kPart, T>(random, d, Use::kAdd, by_columns, gap);
      if (d.depth > ops::kTermsOfChain) continue;
      expect_product<kPart, T>(random, d, Use::kContinue, by_columns, gap);
    }
  }
}

TYPED_TEST(BlockProduct, StoresOrAddsSumsOfProductsForWholeVectors) {
  Random random(1);
  for (std::int64_t rows = 0; rows <= 26; ++rows) {
    for (std::int64_t vectors = 0; vectors <= 9; ++vectors) {
      for (const std::int64_t depth : {0, 1, 7}) {
        expect_products<false, TypeParam>(random, {rows, vectors * kLanes<TypeParam>, depth});
      }
    }
  }
}

TYPED_TEST(BlockProduct, StoresOrAddsSumsOfProductsForPartsOfVectors) {
  Random random(2);
  for (std::int64_t rows = 1; rows <= 26; rows += rows < 14 ? 1 : 6) {
    for (std::int64_t columns = 0; columns <= 5 * kLanes<TypeParam>; ++columns) {
      for (const std::int64_t depth : {0, 1, 7}) {
        expect_products<true, TypeParam>(random, {rows, columns, depth});
      }
    }
  }
}

TYPED_TEST(BlockProduct, OfLongSumsAndManyRowsIsTheSumOfProducts) {
  Random random(3);
  for (const Sizes& d : {Sizes{64, 64, 64}, {65, 80, 300}, {97, 48, 33}}) {
    expect_products<false, TypeParam>(random, d);
    expect_products<true, TypeParam>(random, {d.rows, d.columns + 3, d.depth});
  }
}

// The product of ones with these terms.
template <class T>
T sum_of(const Values<T>& terms, const ops::Terms& of, Use use, T before) {
  const Values<T> ones(terms.size(), 1);
  ops::block_product<true>(1, 1, of, Strided<T>{ones.data(), 1, 1}, terms.data(), 1,
                           ops::Sums<T>{&before, 1, use});
  return before;
}

// 2^60 swallows what is added to it, and leaves nothing of what it is added to.
template <class T>
constexpr T kLarge = static_cast<T>(1ull << 60);

TYPED_TEST(BlockProduct, AddsTheTermsOfAChainInTheirOrder) {
  using T = TypeParam;
  constexpr T L = kLarge<T>;
  EXPECT_EQ(sum_of<T>({L, -L, 1, 1}, 4, Use::kStore, 5), 2);
  EXPECT_EQ(sum_of<T>({1, L, -L, 1}, 4, Use::kStore, 5), 1);
  EXPECT_EQ(sum_of<T>({1, 1, L, -L}, 4, Use::kStore, 5), 0);
}

TYPED_TEST(BlockProduct, AddsToWhatStandsThereOrContinuesIt) {
  using T = TypeParam;
  constexpr T L = kLarge<T>;
  EXPECT_EQ(sum_of<T>({L, -L, 1, 1}, 4, Use::kAdd, 5), 7);
  EXPECT_EQ(sum_of<T>({L, -L, 1, 1}, 4, Use::kContinue, 5), 2);
}

TYPED_TEST(BlockProduct, AddsTheSumsOfChainsOneByOne) {
  using T = TypeParam;
  constexpr T L = kLarge<T>;
  Values<T> terms(150);
  terms[0] = 1, terms[63] = L;    // L
  terms[64] = -L, terms[65] = 3;  // -L; then with a chain of its own:
  terms[128] = 7;
  EXPECT_EQ(sum_of<T>(terms, 150, Use::kStore, 0), 7);
  terms[64] = 0;
  terms[128] = -L;
  EXPECT_EQ(sum_of<T>(terms, 150, Use::kStore, 0), 0);
  EXPECT_EQ(sum_of<T>(terms, 150, Use::kAdd, 5), 5);  // what stands there comes last
}

// Four samples: chains of sixteen terms of each, a term of all samples before the next.
TYPED_TEST(BlockProduct, TakesSomeTermsOfAllSamplesIntoAChain) {
  using T = TypeParam;
  constexpr T L = kLarge<T>;
  constexpr std::int64_t kStep = 40, kLength = 20;
  Values<T> terms(4 * kStep);
  for (std::int64_t i = 0; i < 4 * kStep; ++i) {
    if (i % kStep >= kLength) terms[static_cast<std::size_t>(i)] = L;  // not to be read
  }
  terms[3 * kStep + 0] = 1, terms[1] = L;     // swallowed: term 0 of sample 3 comes first
  terms[3 * kStep + 15] = -L, terms[16] = 3;  // term 16 is another chain's
  EXPECT_EQ(sum_of<T>(terms, ops::Terms(kLength, 4, kStep), Use::kStore, 0), 3);
  terms[3 * kStep + 15] = 0, terms[16] = -L;
  EXPECT_EQ(sum_of<T>(terms, ops::Terms(kLength, 4, kStep), Use::kStore, 0), 0);
}

TYPED_TEST(BlockProduct, OfSamplesIsTheSumOfProducts) {
  Random random(6);
  for (const std::int64_t samples : {1, 2, 3, 7, 8, 9, 16}) {
    for (const std::int64_t length : {0, 1, 3, 4, 5, 20, 64, 65}) {
      constexpr std::int64_t kRows = 7, kColumns = 19;
      const std::int64_t step = length + 2, depth = samples * step;
      const auto a = whole<TypeParam>(random, kRows * depth),
                 b = whole<TypeParam>(random, depth * kColumns);
      Values<TypeParam> c(kRows * kColumns, 99);
      ops::block_product<true>(kRows, kColumns, ops::Terms(length, samples, step),
                               Strided<TypeParam>{a.data(), 1, kRows}, b.data(), kColumns,
                               ops::store_to(c.data(), kColumns));
      for (std::int64_t i = 0; i < kRows; ++i) {
        for (std::int64_t j = 0; j < kColumns; ++j) {
          TypeParam expected = 0;
          for (std::int64_t p = 0; p < depth; ++p) {
            if (p % step >= length) continue;
            expected += a[static_cast<std::size_t>(p * kRows + i)] *
                        b[static_cast<std::size_t>(p * kColumns + j)];
          }
          ASSERT_EQ(c[static_cast<std::size_t>(i * kColumns + j)], expected)
              << samples << " samples of " << length;
        }
      }
    }
  }
}

// Zeros where `keep` is 0.
template <class T>
Values<T> masked(Values<T> x, const Values<T>& keep) {
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = keep[i] != 0 ? x[i] : 0;
  return x;
}
template <class T>
Values<T> random_keep(Random& random, std::int64_t n) {
  Values<T> keep(static_cast<std::size_t>(n));
  for (T& e : keep) e = random.uniform() < 0.5;
  return keep;
}

constexpr Use kUses[] = {Use::kStore, Use::kAdd, Use::kContinue};
constexpr Sizes kCarefulSizes[] = {{1, 1, 1}, {3, 2, 5}, {17, 4, 64}, {64, 4, 40}, {70, 1, 64}};

TYPED_TEST(BlockProduct, OfKeptColumnsHasTheBitsOfThePlainOneAndSkipsPoison) {
  Random random(4);
  for (const auto& [rows, vectors, depth] : kCarefulSizes) {
    const std::int64_t columns = vectors * kLanes<TypeParam>;
    auto a = real<TypeParam>(random, rows * depth);
    const auto keep = random_keep<TypeParam>(random, depth * columns);
    const auto b = masked(real<TypeParam>(random, depth * columns), keep);
    const std::int64_t stride = columns + 2 * kLanes<TypeParam>;
    const auto before = real<TypeParam>(random, rows * stride);
    const Strided<TypeParam> left = {a.data(), 1, rows};
    auto plain = before, poisoned = before;
    for (const Use use : kUses) {
      auto careful = plain = before;
      ops::block_product<false>(rows, columns, depth, left, b.data(), columns,
                                ops::Sums<TypeParam>{plain.data(), stride, use});
      ops::product_of_kept_columns(rows, columns, depth, left, b.data(), keep.data(),
                                   ops::Sums<TypeParam>{careful.data(), stride, use});
      EXPECT_TRUE(same_bits(careful, plain));
    }
    // The term p is poison for all rows: columns that do not keep it must not see it.
    const std::int64_t p = random.integer(0, depth - 1);
    for (std::int64_t i = 0; i < rows; ++i) {
      const double poisons[] = {kNaN, kInf, -kInf, 1e30};
      a[static_cast<std::size_t>(p * rows + i)] = static_cast<TypeParam>(poisons[i % 4]);
    }
    ops::product_of_kept_columns(rows, columns, depth, left, b.data(), keep.data(),
                                 ops::Sums<TypeParam>{poisoned.data(), stride, Use::kContinue});
    for (std::int64_t i = 0; i < rows * stride; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const std::int64_t j = i % stride;
      if (j < columns && keep[static_cast<std::size_t>(p * columns + j)] != 0) {
        EXPECT_NE(poisoned[at], plain[at]) << "the poison had no effect";
      } else {
        EXPECT_EQ(poisoned[at], plain[at]);
      }
    }
  }
}

TYPED_TEST(BlockProduct, OfKeptRowsHasTheBitsOfThePlainOneAndSkipsPoison) {
  Random random(5);
  for (const auto& [rows, vectors, depth] : kCarefulSizes) {
    const std::int64_t columns = vectors * kLanes<TypeParam> - vectors % 3, stride = depth + 3;
    const auto keep = random_keep<TypeParam>(random, rows * stride);
    const auto a = masked(real<TypeParam>(random, rows * stride), keep);
    auto b = real<TypeParam>(random, depth * columns);
    const auto before = real<TypeParam>(random, rows * columns);
    auto plain = before, poisoned = before;
    for (const Use use : kUses) {
      auto careful = plain = before;
      ops::block_product<true>(rows, columns, depth, Strided<TypeParam>{a.data(), stride, 1},
                               b.data(), columns, ops::Sums<TypeParam>{plain.data(), columns, use});
      ops::product_of_kept_rows(rows, columns, depth, a.data(), keep.data(), stride, b.data(),
                                columns, ops::Sums<TypeParam>{careful.data(), columns, use});
      EXPECT_TRUE(same_bits(careful, plain));
    }
    const std::int64_t p = random.integer(0, depth - 1);
    for (std::int64_t j = 0; j < columns; ++j) {
      const double poisons[] = {kNaN, kInf, -kInf, 1e30};
      b[static_cast<std::size_t>(p * columns + j)] = static_cast<TypeParam>(poisons[j % 4]);
    }
    ops::product_of_kept_rows(rows, columns, depth, a.data(), keep.data(), stride, b.data(),
                              columns,
                              ops::Sums<TypeParam>{poisoned.data(), columns, Use::kContinue});
    for (std::int64_t i = 0; i < rows * columns; ++i) {
      const auto at = static_cast<std::size_t>(i);
      if (keep[static_cast<std::size_t>(i / columns * stride + p)] != 0) {
        EXPECT_NE(poisoned[at], plain[at]) << "the poison had no effect";
      } else {
        EXPECT_EQ(poisoned[at], plain[at]);
      }
    }
  }
}

}  // namespace
}  // namespace maskgrad
