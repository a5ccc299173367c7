// Products of matrices against loops in double. What their bits do not depend on is in
// gemm_bits_test.cpp.
#include <cmath>
#include <thread>

#include <gmock/gmock.h>

#include <maskgrad/tensor/cpu/pool.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>

#include "ops/cpu/product_operands.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using ops::MatrixProduct;
using test::every_transpose;
using test::kInf;
using test::kNaN;
using test::Operands;
using test::to_string;

template <class T>
class Gemm : public ::testing::Test {};
using FloatingTypes = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Gemm, FloatingTypes);

// Every element exactly as expected; NaN equals NaN.
template <class T>
::testing::AssertionResult equals(const std::vector<T>& y, const std::vector<double>& expected) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double value = y[i];
    if (value == expected[i] || (std::isnan(value) && std::isnan(expected[i]))) continue;
    return ::testing::AssertionFailure()
           << "element " << i << " is " << value << ", expected " << expected[i];
  }
  return ::testing::AssertionSuccess();
}

// Whole numbers, in every way to store them: the sums are exact.
template <class T>
void expect_exact(Random& random, const MatrixProduct& d) {
  const auto operands = Operands<T>::whole(random, d);
  const std::vector<double> expected = operands.expected();
  for (const MatrixProduct& stored : every_transpose(d)) {
    EXPECT_TRUE(equals(operands.as(stored).run(), expected)) << to_string(stored);
  }
}

TYPED_TEST(Gemm, IsTheSumOfProductsForAllSmallSizes) {
  Random random(1);
  for (std::int64_t m = 0; m <= 20; ++m) {
    for (std::int64_t n = 0; n <= 20; ++n) {
      for (std::int64_t k = 0; k <= 20; ++k) {
        expect_exact<TypeParam>(random, {.m = m, .n = n, .k = k});
      }
    }
  }
}

constexpr std::int64_t kEdges[] = {15, 16, 17, 31, 33, 63, 64, 65, 100, 150};

TYPED_TEST(Gemm, IsTheSumOfProductsAroundTheEdgesOfVectorsAndBlocks) {
  Random random(2);
  for (const std::int64_t m : kEdges) {
    for (const std::int64_t n : kEdges) {
      for (const std::int64_t k : kEdges) {
        expect_exact<TypeParam>(random, {.m = m, .n = n, .k = k});
      }
    }
  }
}

TYPED_TEST(Gemm, IsTheSumOfProductsWhereSumsGoOnOverBlocks) {
  Random random(3);
  for (const std::int64_t k : {1023, 1024, 1025, 2049, 3000}) {
    for (const std::int64_t m : {1, 4, 13, 97}) {
      for (const std::int64_t n : {1, 17, 70, 150}) {
        expect_exact<TypeParam>(random, {.m = m, .n = n, .k = k});
      }
    }
  }
}

TYPED_TEST(Gemm, IsTheSumOfProductsOfAFewSamplesAndAFewTerms) {
  Random random(4);
  for (std::int64_t m = 1; m <= 6; ++m) {
    for (const std::int64_t k : {1, 2, 3, 4, 5, 8, 15, 16, 17, 40, 1025}) {
      for (const std::int64_t n : {1, 2, 3, 5, 16, 33, 70}) {
        expect_exact<TypeParam>(random, {.m = m, .n = n, .k = k, .rows_are_samples = true});
      }
    }
  }
}

TYPED_TEST(Gemm, IsTheSumOverAllRowsOfAllSamples) {
  Random random(5);
  for (const std::int64_t samples : {1, 2, 15, 16, 17, 32, 33, 50}) {
    for (const std::int64_t rows : {1, 3, 20}) {
      for (const auto& [m, n] : {std::pair{1, 1}, {3, 20}, {20, 17}, {32, 32}, {33, 33}}) {
        const MatrixProduct d = {.m = m, .n = n, .k = samples * rows, .rows_per_sample = rows};
        expect_exact<TypeParam>(random, d);
      }
    }
  }
}

TYPED_TEST(Gemm, RoundsNoMoreThanItsTermsExplain) {
  Random random(6);
  constexpr double kRounding = std::numeric_limits<TypeParam>::epsilon();
  for (const auto& [m, n, k] : {std::array{3, 5, 2}, {7, 33, 65}, {65, 17, 150}, {5, 70, 2500}}) {
    for (const bool samples : {false, true}) {
      for (const MatrixProduct& d :
           every_transpose({.m = m, .n = n, .k = k, .rows_are_samples = samples})) {
        const auto operands = Operands<TypeParam>::real(random, d);
        const std::vector<TypeParam> y = operands.run();
        for (std::int64_t i = 0; i < m * n; ++i) {
          double size = 0;  // what the terms amount to, without their signs
          for (std::int64_t p = 0; p < k; ++p) {
            size += std::abs(operands.a(i / n, p) * operands.b(p, i % n));
          }
          // Both sums err by half a rounding of a term and one of each addition.
          EXPECT_NEAR(y[static_cast<std::size_t>(i)], operands.element(i / n, i % n),
                      (k + 1) * kRounding * size)
              << to_string(d);
        }
      }
    }
  }
}

TYPED_TEST(Gemm, AddsABiasAndCutsOffWhatIsNegative) {
  Random random(7);
  for (const auto& [m, n, k] : {std::array{1, 5, 3},
                                {3, 17, 4},
                                {4, 33, 40},
                                {2, 16, 0},
                                {30, 20, 1},
                                {13, 70, 65},
                                {20, 9, 1100}}) {
    std::vector<TypeParam> bias(static_cast<std::size_t>(n));
    for (auto& x : bias) x = static_cast<TypeParam>(random.integer(-9, 9));
    for (const bool samples : {false, true}) {
      for (const MatrixProduct& d :
           every_transpose({.m = m, .n = n, .k = k, .rows_are_samples = samples})) {
        const auto operands = Operands<TypeParam>::whole(random, d);
        std::vector<double> sum = operands.expected(), cut = sum, both = sum;
        for (std::size_t i = 0; i < sum.size(); ++i) {
          sum[i] += bias[i % bias.size()];
          cut[i] = std::max(cut[i], 0.0);
          both[i] = std::max(sum[i], 0.0);
        }
        EXPECT_TRUE(equals(operands.run({.bias = bias.data()}), sum)) << to_string(d);
        EXPECT_TRUE(equals(operands.run({.relu = true}), cut)) << to_string(d);
        EXPECT_TRUE(equals(operands.run({.bias = bias.data(), .relu = true}), both))
            << to_string(d);
      }
    }
  }
}

TYPED_TEST(Gemm, LetsNotANumberAndInfinityThrough) {
  Random random(8);
  for (const auto& [m, n, k] : {std::array{2, 5, 3}, {3, 20, 40}, {30, 70, 65}, {20, 33, 1100}}) {
    for (const bool samples : {false, true}) {
      for (const MatrixProduct& d :
           every_transpose({.m = m, .n = n, .k = k, .rows_are_samples = samples})) {
        auto operands = Operands<TypeParam>::whole(random, d);
        operands.set_a(1, k - 1, kNaN);
        operands.set_b(0, n - 1, kInf);
        operands.set_b(k / 2, 0, -kInf);
        const std::vector<double> expected = operands.expected();
        EXPECT_TRUE(std::isnan(expected[static_cast<std::size_t>(n)]));
        EXPECT_TRUE(equals(operands.run(), expected)) << to_string(d);
        // max(x, 0) of what is no number is none.
        const std::vector<TypeParam> cut = operands.run({.relu = true});
        for (std::size_t i = 0; i < cut.size(); ++i) {
          EXPECT_EQ(std::isnan(cut[i]), std::isnan(expected[i])) << to_string(d);
          if (std::isinf(expected[i])) {
            EXPECT_EQ(cut[i], std::max(expected[i], 0.0));
          }
        }
      }
    }
  }
}

TEST(Gemm, IsTheSumOfProductsOfMatricesThatNoCacheHolds) {
  Random random(9);
  constexpr std::int64_t kSize = 1024;
  const std::vector<float> bias(kSize, -10);
  for (const MatrixProduct& d :
       every_transpose({.m = kSize, .n = kSize, .k = kSize, .rows_are_samples = true})) {
    const auto operands = Operands<float>::whole(random, d);
    const std::vector<float> y = operands.run(), cut = operands.run({bias.data(), true});
    for (int sample = 0; sample < 500; ++sample) {
      const std::int64_t i = random.integer(0, kSize - 1), j = random.integer(0, kSize - 1);
      const auto at = static_cast<std::size_t>(i * kSize + j);
      const double expected = operands.element(i, j);
      EXPECT_EQ(y[at], expected) << to_string(d) << " at " << i << ", " << j;
      EXPECT_EQ(cut[at], std::max(expected - 10, 0.0));
    }
  }
}

// Each waits for something that the other has: threads, or OpenBLAS.
TEST(Gemm, LargeProductsInALoopAndBesideItGoOnTogether) {
  const test::WithThreads two(2);
  Random random(11);
  const MatrixProduct d = {.m = 1024, .n = 1024, .k = 1024, .rows_are_samples = true};
  const auto operands = Operands<float>::whole(random, d);
  const auto expected = operands.run();
  const auto run_some = [&] {
    for (int i = 0; i < 3; ++i) EXPECT_EQ(operands.run(), expected);
  };
  std::thread other(run_some);
  parallel_for_parts(2, 2, [&](std::int64_t, std::int64_t) { run_some(); });
  other.join();
}

// A thread keeps what it transposed, but no more than a cache holds.
TEST(Gemm, GivesTheMemoryOfLargeFactorsBack) {
  const auto in_use = [] { return Pool::cpu().stats().bytes_in_use; };
  Random random(10);
  const MatrixProduct d = {.m = 64, .n = 20000, .k = 512, .transpose_b = true};
  const auto operands = Operands<float>::whole(random, d);
  const std::size_t before = in_use();
  operands.run();
  EXPECT_LE(in_use(), before + (2 << 20));
}

}  // namespace
}  // namespace maskgrad
