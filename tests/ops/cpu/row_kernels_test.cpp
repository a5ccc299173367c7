// What softmax and the losses do to one row: every length, every element, a fixed order.
#include <cmath>

#include <gmock/gmock.h>

#include <maskgrad/ops/cpu/rows/row_kernels.hpp>

#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::kInf;
using test::kNaN;

template <class T>
class Rows : public ::testing::Test {};
using FloatingTypes = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Rows, FloatingTypes);

template <class T>
std::vector<T> random_row(Random& random, std::int64_t n) {
  std::vector<T> row(static_cast<std::size_t>(n));
  for (T& x : row) x = static_cast<T>(random.uniform(-3, 3));
  return row;
}

// Products in 16 lanes, then the upper half of the lanes to the lower one.
template <class T>
T sum_in_order(const std::vector<T>& x, const std::vector<T>& y) {
  std::array<T, 16> lanes{};
  for (std::size_t j = 0; j < x.size(); ++j) {
    // Without the instruction vectors round twice, as the type's own operators do.
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    lanes[j % 16] = std::fma(x[j], y[j], lanes[j % 16]);
#else
    lanes[j % 16] += x[j] * y[j];
#endif
  }
  for (std::size_t half = 8; half > 0; half /= 2) {
    for (std::size_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  }
  return lanes[0];
}

TYPED_TEST(Rows, AreSummedInTheOrderThatIsPromised) {
  Random random(1);
  for (std::int64_t n = 0; n <= 100; ++n) {
    const auto x = random_row<TypeParam>(random, n), y = random_row<TypeParam>(random, n);
    const std::vector<TypeParam> ones(x.size(), TypeParam{1});
    EXPECT_EQ(ops::row_sum(x.data(), n), sum_in_order(x, ones)) << n;
    EXPECT_EQ(ops::row_dot(x.data(), y.data(), n), sum_in_order(x, y)) << n;
  }
}

TYPED_TEST(Rows, HaveALargestElementWhereverItStands) {
  constexpr auto kNothing = -static_cast<TypeParam>(kInf);
  Random random(2);
  EXPECT_EQ(ops::row_max<TypeParam>(nullptr, 0), kNothing);
  for (std::int64_t n = 1; n <= 70; ++n) {
    auto x = random_row<TypeParam>(random, n);
    for (TypeParam& element : x) element -= 10;  // below what stands behind the end
    for (TypeParam& element : x) {
      const TypeParam before = std::exchange(element, TypeParam{-1});
      EXPECT_EQ(ops::row_max(x.data(), n), -1) << n;
      element = before;
    }
  }
}

TYPED_TEST(Rows, LeaveNotANumberOutOfTheirLargestAndLetItIntoTheirSum) {
  std::vector<TypeParam> x(40, TypeParam{-2});
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<TypeParam>(kNaN);
    EXPECT_EQ(ops::row_max(x.data(), 40), -2) << i;
    EXPECT_TRUE(std::isnan(ops::row_sum(x.data(), 40))) << i;
    x[i] = -2;
  }
  x.assign(40, static_cast<TypeParam>(kNaN));
  EXPECT_EQ(ops::row_max(x.data(), 40), -static_cast<TypeParam>(kInf));
}

TYPED_TEST(Rows, AreMappedElementByElementAndNoFurther) {
  Random random(3);
  for (std::int64_t n = 0; n <= 70; ++n) {
    const auto x = random_row<TypeParam>(random, n), y = random_row<TypeParam>(random, n);
    std::vector<TypeParam> out(x.size() + 16, TypeParam{7});
    ops::map_vectors(
        n, out.data(), [](const auto& a, const auto& b) { return a - b; }, x.data(), y.data());
    for (std::size_t j = 0; j < out.size(); ++j) {
      EXPECT_EQ(out[j], j < x.size() ? x[j] - y[j] : TypeParam{7}) << j << " of " << n;
    }
    std::vector<TypeParam> in_place = x;
    ops::map_vectors(
        n, in_place.data(), [](const auto& a) { return a + a; }, in_place.data());
    for (std::size_t j = 0; j < x.size(); ++j) EXPECT_EQ(in_place[j], 2 * x[j]) << j << " of " << n;
  }
}

TYPED_TEST(Rows, HaveTheSameExponentialsWhereverTheyStand) {
  Random random(4);
  const auto x = random_row<TypeParam>(random, 60);
  for (std::size_t first = 0; first < 20; ++first) {
    std::vector<TypeParam> part(x.size() - first), all(x.size());
    ops::row_exp(x.data(), TypeParam{1}, all.data(), 60);
    ops::row_exp(x.data() + first, TypeParam{1}, part.data(),
                 static_cast<std::int64_t>(part.size()));
    for (std::size_t j = 0; j < part.size(); ++j) {
      EXPECT_EQ(part[j], all[first + j]);
      const TypeParam exact = std::exp(x[first + j] - 1);
      EXPECT_NEAR(part[j], exact, 8 * std::numeric_limits<TypeParam>::epsilon() * exact);
    }
  }
}

TYPED_TEST(Rows, KnowTheirLargestPlace) {
  const std::vector<TypeParam> x = {1, 5, 2, 5, 3};
  for (std::int64_t place = 0; place < 5; ++place) {
    EXPECT_EQ(ops::is_largest(x.data(), 5, place), place == 1) << place;
  }
}

}  // namespace
}  // namespace maskgrad
