// Sums over the rows of b, which a product of a transposed a makes in passing.
#include <array>

#include <gmock/gmock.h>

#include "ops/cpu/product_operands.hpp"
#include "support/threads.hpp"

namespace maskgrad {
namespace {

using ops::MatrixProduct;
using test::Operands;
using test::to_string;

template <class T>
class GemmSums : public ::testing::Test {};
using FloatingTypes = ::testing::Types<float, double>;
TYPED_TEST_SUITE(GemmSums, FloatingTypes);

// The rows of a, and one that holds ones.
template <class T>
Operands<T> with_row_of_ones(Random& random, MatrixProduct d) {
  ++d.m;
  auto operands = Operands<T>::real(random, d);
  std::vector<double> a, b;
  for (std::int64_t i = 0; i < d.m; ++i) {
    for (std::int64_t p = 0; p < d.k; ++p) a.push_back(i + 1 < d.m ? operands.a(i, p) : 1.0);
  }
  for (std::int64_t p = 0; p < d.k; ++p) {
    for (std::int64_t j = 0; j < d.n; ++j) b.push_back(operands.b(p, j));
  }
  return Operands<T>(d, a, b);
}

TYPED_TEST(GemmSums, HaveTheBitsOfARowOfOnes) {
  Random random(1);
  for (const auto& [m, n] : {std::pair{1, 1}, {3, 20}, {32, 32}, {40, 70}, {70, 300}, {130, 64}}) {
    for (const auto& [samples, rows] :
         {std::pair{0, 3}, {0, 64}, {0, 2000}, {3, 5}, {16, 4}, {33, 48}, {2, 700}, {5, 0}}) {
      const bool is_one = samples == 0;
      const MatrixProduct d = {.m = m,
                               .n = n,
                               .k = is_one ? rows : samples * rows,
                               .transpose_a = true,
                               .rows_per_sample = is_one ? 0 : rows};
      const auto operands = with_row_of_ones<TypeParam>(random, d);
      const std::vector<TypeParam> all = operands.run();
      for (const int threads : {1, 3}) {
        const test::WithThreads with(threads);
        std::vector<TypeParam> sums(static_cast<std::size_t>(n), TypeParam{7});
        ops::RowFinish<TypeParam> finish;
        finish.sums_of_b = sums.data();
        const std::vector<TypeParam> y = operands.first_rows(m).run(finish);
        EXPECT_TRUE(std::equal(y.begin(), y.end(), all.begin())) << to_string(d);
        EXPECT_TRUE(std::equal(sums.begin(), sums.end(), all.end() - n)) << to_string(d);
      }
    }
  }
}

TYPED_TEST(GemmSums, AreMadeWhereTheProductIsEmpty) {
  Random random(2);
  const auto operands = with_row_of_ones<TypeParam>(
      random, {.m = 0, .n = 9, .k = 12, .transpose_a = true, .rows_per_sample = 4});
  std::vector<TypeParam> sums(9, TypeParam{7});
  ops::RowFinish<TypeParam> finish;
  finish.sums_of_b = sums.data();
  operands.first_rows(0).run(finish);
  EXPECT_EQ(sums, operands.run());
}

// With sums of few and of many rows, and a b that threads share by rows, by columns and by groups.
TYPED_TEST(GemmSums, AreFinishedWhateverWayTheProductTakes) {
  Random random(3);
  for (const auto& [m, n] : {std::pair{3, 20}, {40, 70}, {70, 300}, {40, 1030}, {300, 80}}) {
    for (const int rows : {2, 64, 2000}) {
      const MatrixProduct d = {.m = m, .n = n, .k = rows, .transpose_a = true};
      const auto operands = Operands<TypeParam>::real(random, d);
      const Tensor of_bias = test::uniform(random, {n}, -1, 1).to(dtype_of<TypeParam>);
      const std::span<const TypeParam> bias = of_bias.values<TypeParam>();
      std::vector<TypeParam> want = operands.run();
      for (std::size_t i = 0; i < want.size(); ++i) {
        want[i] = std::max(want[i] + bias[i % bias.size()], TypeParam{});
      }
      for (const int threads : {1, 3}) {
        const test::WithThreads with(threads);
        ops::RowFinish<TypeParam> finish;
        finish.bias = bias.data();
        finish.relu = true;
        EXPECT_EQ(operands.run(finish), want) << to_string(d);
      }
    }
  }
}

}  // namespace
}  // namespace maskgrad
