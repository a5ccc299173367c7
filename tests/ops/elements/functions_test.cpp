#include <cmath>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

#include <gtest/gtest.h>

#include <maskgrad/ops/elements/functions.hpp>

#include "support/errors.hpp"
#include "support/ulps.hpp"

namespace maskgrad {
namespace {

template <class T>
class FastFunctions : public ::testing::Test {};
using FloatingTypes = ::testing::Types<float, double>;
TYPED_TEST_SUITE(FastFunctions, FloatingTypes);

using Exactly = long double (*)(long double);

template <class T>
struct Named {
  const char* name;
  void (*fast)(std::span<const T>, std::span<T>);
  Exactly exact;
};

template <class T>
std::vector<Named<T>> functions() {
  const auto sigmoid = [](long double x) { return 1 / (1 + std::exp(-x)); };
  const auto softplus = [](long double x) {
    return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
  };
  return {{"exp", ops::exp, std::exp},          {"log", ops::log, std::log},
          {"sqrt", ops::sqrt, std::sqrt},       {"tanh", ops::tanh, std::tanh},
          {"erf", ops::erf, std::erf},          {"sigmoid", ops::sigmoid, sigmoid},
          {"softplus", ops::softplus, softplus}};
}

// Of every size that T has, and many where the functions bend.
template <class T>
std::vector<T> points() {
  std::vector<T> x = {0, std::numeric_limits<T>::denorm_min(), std::numeric_limits<T>::min(),
                      std::numeric_limits<T>::max(), std::numeric_limits<T>::infinity()};
  constexpr int kLeast = std::numeric_limits<T>::min_exponent - std::numeric_limits<T>::digits;
  for (double e = kLeast; e < std::numeric_limits<T>::max_exponent; e += 0.37) {
    x.push_back(static_cast<T>(std::exp2(e)));
  }
  for (double v = 0.0007; v < 8; v *= 1.003) x.push_back(static_cast<T>(v));
  for (std::size_t i = 0, n = x.size(); i < n; ++i) x.push_back(-x[i]);
  return x;
}

TYPED_TEST(FastFunctions, AreNearTheExactValues) {
  using T = TypeParam;
  const std::vector<T> x = points<T>();
  for (const Named<T>& function : functions<T>()) {
    std::vector<T> y(x.size());
    function.fast(x, y);
    test::WorstUlps worst;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const long double exact = function.exact(x[i]);
      const auto high = static_cast<double>(exact);
      const double low = std::isfinite(high) ? static_cast<double>(exact - high) : 0;
      worst.add(test::ulps(y[i], test::Exact{high, low}), static_cast<double>(x[i]));
    }
    EXPECT_LE(worst.ulps, sizeof(T) == 4 ? 2 : 4) << function.name << " of " << worst.at;
  }
}

TYPED_TEST(FastFunctions, KeepTheSignOfZeroAndNaN) {
  using T = TypeParam;
  const std::vector<T> x = {T(-0.0), std::numeric_limits<T>::quiet_NaN()};
  for (const Named<T>& function : functions<T>()) {
    std::vector<T> y(2);
    function.fast(x, y);
    const auto exact = static_cast<double>(function.exact(-0.0L));
    EXPECT_EQ(std::signbit(y[0]), std::signbit(exact)) << function.name;
    EXPECT_TRUE(std::isnan(y[1])) << function.name;
  }
}

TYPED_TEST(FastFunctions, GiveTheSameBitsWhereverAnElementStandsAndInPlace) {
  using T = TypeParam;
  const std::vector<T> x = points<T>();
  for (const Named<T>& function : functions<T>()) {
    std::vector<T> whole(x.size());
    function.fast(x, whole);
    for (const std::size_t first : {1u, 2u, 3u, 7u}) {
      std::vector<T> part(x.begin() + static_cast<std::ptrdiff_t>(first), x.end());
      function.fast(part, part);
      for (std::size_t i = 0; i < part.size(); ++i) {
        const T want = whole[i + first];
        EXPECT_TRUE(part[i] == want || (std::isnan(part[i]) && std::isnan(want))) << function.name;
      }
    }
    function.fast(std::span<const T>(), std::span<T>());
  }
}

TEST(FastFunction, RefusesTwoSizes) {
  std::vector<float> x(3), y(4);
  EXPECT_EQ(test::error_of([&] { ops::tanh(x, y); }), "[tanh] x has 3 elements, y has 4");
}

}  // namespace
}  // namespace maskgrad
