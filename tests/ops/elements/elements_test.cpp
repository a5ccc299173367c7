#include <array>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include <maskgrad/ops/elements/elements.hpp>

#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using ops::Elements;
using test::kInf;
using test::kNaN;

template <class T>
class ElementsOf : public ::testing::Test {
 protected:
  static constexpr std::size_t kCount = Elements<T>::kCount;
  using Array = std::array<T, kCount>;

  // Pairs of all of these.
  static Array of(bool second) {
    const double values[] = {0, -0.0, 1, -2.5, 1e30, kInf, -kInf, kNaN};
    Array x;
    for (std::size_t i = 0; i < kCount; ++i) {
      x[i] = static_cast<T>(values[second ? (i / 8 + i) % 8 : i % 8]);
    }
    return x;
  }
  const Array a_ = of(false), b_ = of(true);

  // f of Elements gives what g gives of each element: the same bits, or NaN.
  template <class F, class G>
  void expect_same(F f, G g) const {
    Array y;
    Elements<T>(f(Elements<T>::load(a_.data()), Elements<T>::load(b_.data()))).store(y.data());
    for (std::size_t i = 0; i < kCount; ++i) {
      const T want = static_cast<T>(g(a_[i], b_[i]));
      EXPECT_TRUE(std::isnan(want) ? std::isnan(y[i])
                                   : y[i] == want && std::signbit(y[i]) == std::signbit(want))
          << a_[i] << ", " << b_[i] << ": " << y[i] << ", not " << want;
    }
  }
};
using FloatingTypes = ::testing::Types<float, double>;
TYPED_TEST_SUITE(ElementsOf, FloatingTypes);

TYPED_TEST(ElementsOf, AddSubtractMultiplyAndDivide) {
  this->expect_same([](auto a, auto b) { return a + b; }, [](auto a, auto b) { return a + b; });
  this->expect_same([](auto a, auto b) { return a - b; }, [](auto a, auto b) { return a - b; });
  this->expect_same([](auto a, auto b) { return a * b; }, [](auto a, auto b) { return a * b; });
  this->expect_same([](auto a, auto b) { return a / b; }, [](auto a, auto b) { return a / b; });
  this->expect_same([](auto a, auto) { return -a; }, [](auto a, auto) { return -a; });
  this->expect_same([](auto a, auto b) { return a += b, a -= 1, a *= b, a /= 3; },
                    [](auto a, auto b) {
                      using T = decltype(a);
                      T sum = a + b;
                      sum = sum - T(1);
                      T product = sum * b;
                      return product / T(3);
                    });
}

TYPED_TEST(ElementsOf, TakeNumbersOnEitherSide) {
  using T = TypeParam;
  this->expect_same([](auto a, auto) { return 0.1 - a; }, [](T a, T) { return T(0.1) - a; });
  this->expect_same([](auto a, auto) { return 1 / a; }, [](T a, T) { return 1 / a; });
  this->expect_same([](auto a, auto) { return a * 3; }, [](T a, T) { return a * 3; });
  this->expect_same([](auto a, auto) { return a + 0.5f; }, [](T a, T) { return a + T(0.5); });
  this->expect_same([](auto, auto) { return -0.0; }, [](T, T) { return T(-0.0); });
}

TYPED_TEST(ElementsOf, AreChosenByComparisons) {
  using T = TypeParam;
  this->expect_same([](auto a, auto b) { return select(a < b, a, b); },
                    [](T a, T b) { return a < b ? a : b; });
  this->expect_same([](auto a, auto b) { return select(a <= b, a, b); },
                    [](T a, T b) { return a <= b ? a : b; });
  this->expect_same([](auto a, auto b) { return select(a == b, a, 7); },
                    [](T a, T b) { return a == b ? a : 7; });
  this->expect_same([](auto a, auto b) { return select(a != b, a, 7); },
                    [](T a, T b) { return a != b ? a : 7; });
  this->expect_same([](auto a, auto) { return select(a > 0, a, 0); },
                    [](T a, T) { return a > 0 ? a : 0; });
  this->expect_same([](auto a, auto b) { return select(a >= 0 && !(b > 1), a, b); },
                    [](T a, T b) { return a >= 0 && !(b > 1) ? a : b; });
  this->expect_same([](auto a, auto b) { return select(a >= 0 || b > 1, a, b); },
                    [](T a, T b) { return a >= 0 || b > 1 ? a : b; });
}

TYPED_TEST(ElementsOf, HaveMinimaMaximaAndSizes) {
  using T = TypeParam;
  this->expect_same([](auto a, auto b) { return min(a, b); },
                    [](T a, T b) { return b < a ? b : a; });
  this->expect_same([](auto a, auto b) { return max(a, b); },
                    [](T a, T b) { return a < b ? b : a; });
  this->expect_same([](auto a, auto) { return min(max(a, -1), 1); },
                    [](T a, T) { return std::isnan(a) ? a : std::min(std::max(a, T(-1)), T(1)); });
  this->expect_same([](auto a, auto) { return abs(a); }, [](T a, T) { return std::abs(a); });
}

TYPED_TEST(ElementsOf, HaveTheBitsOfTheFastFunctions) {
  using T = TypeParam;
  const auto through = [&](void (*function)(std::span<const T>, std::span<T>)) {
    return [function](T a, T) {
      T y;
      function({&a, 1}, {&y, 1});
      return y;
    };
  };
  this->expect_same([](auto a, auto) { return exp(a); }, through(ops::exp));
  this->expect_same([](auto a, auto) { return log(a); }, through(ops::log));
  this->expect_same([](auto a, auto) { return sqrt(a); }, through(ops::sqrt));
  this->expect_same([](auto a, auto) { return tanh(a); }, through(ops::tanh));
  this->expect_same([](auto a, auto) { return erf(a); }, through(ops::erf));
  this->expect_same([](auto a, auto) { return sigmoid(a); }, through(ops::sigmoid));
  this->expect_same([](auto a, auto) { return softplus(a); }, through(ops::softplus));
}

TYPED_TEST(ElementsOf, ReadAndWriteNoFurtherThanTold) {
  using T = TypeParam;
  constexpr std::size_t n = Elements<T>::kCount;
  for (std::size_t count = 0; count <= n; ++count) {
    const std::vector<T> x(this->b_.begin(), this->b_.begin() + static_cast<std::ptrdiff_t>(count));
    const auto elements = Elements<T>::load(x.data(), count);
    std::vector<T> y(count);  // a sanitizer sees what goes beyond
    elements.store(y.data(), count);
    std::vector<T> all(n, T(5));
    elements.store(all.data());
    for (std::size_t i = 0; i < n; ++i) {
      const T want = i < count ? x[i] : T(0);
      EXPECT_TRUE(all[i] == want || (std::isnan(want) && std::isnan(all[i])));
      EXPECT_TRUE(i >= count || y[i] == want || std::isnan(want));
    }
  }
}

}  // namespace
}  // namespace maskgrad
