// The inner loop of products, and the one that skips what is masked, against sums of whole numbers.
#include <cstring>

#include <gmock/gmock.h>

#include <maskgrad/ops/attention/careful_product.hpp>

#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using ops::kLanes;
using ops::Strided;
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
template <bool kPart, template <class> class Store, class T>
void expect_product(Random& random, const Sizes& d, bool by_columns, std::int64_t gap) {
  const std::int64_t stride = d.columns + gap;
  const auto a = whole<T>(random, d.rows * d.depth), b = whole<T>(random, d.depth * stride),
             before = whole<T>(random, d.rows * stride);
  Values<T> c = before;
  const Strided<T> left = {a.data(), by_columns ? 1 : d.depth, by_columns ? d.rows : 1};
  ops::block_product<kPart>(d.rows, d.columns, d.depth, left, b.data(), stride,
                            Store<T>{c.data(), stride});
  for (std::int64_t i = 0; i < d.rows; ++i) {
    for (std::int64_t j = 0; j < stride; ++j) {
      const auto at = static_cast<std::size_t>(i * stride + j);
      constexpr bool kAdds = std::is_same_v<Store<T>, ops::AddTo<T>>;
      T expected = j >= d.columns || kAdds ? before[at] : T{};
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
      expect_product<kPart, ops::StoreTo, T>(random, d, by_columns, gap);
      expect_product<kPart, ops::AddTo, T>(random, d, by_columns, gap);
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

TYPED_TEST(BlockProduct, AddsTermsInTheirOrder) {
  // 2^60 swallows what comes after it, and not what came before.
  constexpr auto kLarge = static_cast<TypeParam>(1ull << 60);
  const TypeParam a[] = {1, 1, 1, 1};
  for (const auto& [terms, expected] :
       {std::pair{std::array<TypeParam, 4>{kLarge, -kLarge, 1, 1}, 2},
        {std::array<TypeParam, 4>{1, kLarge, -kLarge, 1}, 1},
        {std::array<TypeParam, 4>{1, 1, kLarge, -kLarge}, 0}}) {
    TypeParam sum = 0;
    ops::block_product<true>(1, 1, 4, Strided<TypeParam>{a, 4, 1}, terms.data(), 1,
                             ops::StoreTo<TypeParam>{&sum, 1});
    EXPECT_EQ(sum, expected);
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
    auto plain = before, careful = before, poisoned = before;
    ops::block_product<false>(rows, columns, depth, left, b.data(), columns,
                              ops::AddTo<TypeParam>{plain.data(), stride});
    ops::add_product_of_kept_columns(rows, columns, depth, left, b.data(), keep.data(),
                                     careful.data(), stride);
    EXPECT_TRUE(same_bits(careful, plain));
    // The term p is poison for all rows: columns that do not keep it must not see it.
    const std::int64_t p = random.integer(0, depth - 1);
    for (std::int64_t i = 0; i < rows; ++i) {
      const double poisons[] = {kNaN, kInf, -kInf, 1e30};
      a[static_cast<std::size_t>(p * rows + i)] = static_cast<TypeParam>(poisons[i % 4]);
    }
    ops::add_product_of_kept_columns(rows, columns, depth, left, b.data(), keep.data(),
                                     poisoned.data(), stride);
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
    auto plain = before, careful = before, poisoned = before;
    ops::block_product<true>(rows, columns, depth, Strided<TypeParam>{a.data(), stride, 1},
                             b.data(), columns, ops::AddTo<TypeParam>{plain.data(), columns});
    ops::add_product_of_kept_rows(rows, columns, depth, a.data(), keep.data(), stride, b.data(),
                                  careful.data());
    EXPECT_TRUE(same_bits(careful, plain));
    const std::int64_t p = random.integer(0, depth - 1);
    for (std::int64_t j = 0; j < columns; ++j) {
      const double poisons[] = {kNaN, kInf, -kInf, 1e30};
      b[static_cast<std::size_t>(p * columns + j)] = static_cast<TypeParam>(poisons[j % 4]);
    }
    ops::add_product_of_kept_rows(rows, columns, depth, a.data(), keep.data(), stride, b.data(),
                                  poisoned.data());
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
