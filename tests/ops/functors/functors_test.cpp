// Elementwise rules: the same bits for one element as in a vector, and the words they are made of.
#include <random>

#include <gmock/gmock.h>

#include <maskgrad/ops/cpu/vector/map_elements.hpp>
#include <maskgrad/ops/functors/rules.hpp>

#include "support/tensors.hpp"
#include "support/threads.hpp"
#include "support/ulps.hpp"

namespace maskgrad {
namespace {

using namespace ops::functors;
namespace math = ops::math;
using ops::Vec;

template <class T>
class Functors : public ::testing::Test {};
using FloatingTypes = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Functors, FloatingTypes);

// NaN is NaN, whatever its other bits.
template <class T>
bool same(T a, T b) {
  return (std::isnan(a) && std::isnan(b)) || math::bits_of(a) == math::bits_of(b);
}

// Any pattern of bits, and numbers where functions bend.
template <class T>
std::vector<T> elements(std::size_t count) {
  std::mt19937_64 random(1);
  const auto uniform = [&](double size) {
    return static_cast<T>(std::uniform_real_distribution(-size, size)(random));
  };
  std::vector<T> x(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto bits = static_cast<math::Bits<T>>(random());
    x[i] = i % 4 == 0 ? math::from_bits<T>(bits) : uniform(i % 4 == 1 ? 3 : i % 4 == 2 ? 20 : 800);
  }
  const double special[] = {0.0, -0.0, test::kInf, -test::kInf, test::kNaN,
                            1,   -1,   40,         -104,        2e-320};
  for (std::size_t i = 0; i < std::min(count, std::size(special)); ++i) {
    x[3 * i % count] = static_cast<T>(special[i]);
  }
  return x;
}

template <class Test>
void for_each_rule(Test test) {
  test("sigmoid", Sigmoid());
  test("straight_through", StraightThrough());
  test("tanh", Tanh());
  test("softplus", Softplus());
  test("silu", Silu());
  test("gelu", Gelu());
  test("gelu_tanh", GeluTanh());
  test("relu", Relu());
  test("leaky_relu", LeakyRelu{Factor(0.01)});
  test("elu", Elu{Factor(1.67)});
  test("negate", Negate());
  test("scale", Scale{Factor(1e-42)});
  test("exp", Exp());
  test("log", Log());
  test("sqrt", Sqrt());
  test("square", Square());
  test("abs", Abs());
  test("pow", Pow{2.5});
  test("pow of a whole number", Pow{-3});
  test("clip", Clip{-1.5, 2});
}

TYPED_TEST(Functors, GiveOneElementTheBitsThatItHasInAVector) {
  using T = TypeParam;
  const std::vector<T> x = elements<T>(1 << 16), g = elements<T>(1 << 16);
  const auto n = static_cast<std::int64_t>(x.size());
  for_each_rule([&](const char* name, auto f) {
    const auto gradient = [f](const auto& s, const auto& dy) { return f.gradient(s, dy); };
    std::vector<T> y(x.size()), dx(x.size());
    ops::map_vectors(n, y.data(), f, x.data());
    ops::map_vectors(n, dx.data(), gradient, x.data(), g.data());
    for (std::size_t i = 0; i < x.size(); ++i) {
      ASSERT_TRUE(same(y[i], f(x[i]))) << name << " of " << x[i];
      ASSERT_TRUE(same(dx[i], f.gradient(x[i], g[i]))) << "slope of " << name << " at " << x[i];
    }
  });
}

TYPED_TEST(Functors, GiveAnElementTheSameBitsInArraysOfEveryLengthFromEveryPlace) {
  using T = TypeParam;
  constexpr std::int64_t kPlaces = 17, kMost = 40;
  const std::vector<T> x = elements<T>(kPlaces + kMost);
  for_each_rule([&](const char* name, auto f) {
    std::vector<T> expected;
    for (const T element : x) expected.push_back(f(element));
    for (std::int64_t from = 0; from < kPlaces; ++from) {
      for (std::int64_t n = 1; n <= kMost; ++n) {
        constexpr T kUntouched = -7;
        std::vector<T> y(static_cast<std::size_t>(n + 1), kUntouched);
        ops::map_vectors(n, y.data(), f, x.data() + from);
        for (std::int64_t i = 0; i < n; ++i) {
          ASSERT_TRUE(
              same(y[static_cast<std::size_t>(i)], expected[static_cast<std::size_t>(from + i)]))
              << name << " at " << i << " of " << n << " from " << from;
        }
        ASSERT_EQ(y.back(), kUntouched) << name << " of " << n;
      }
    }
  });
}

TYPED_TEST(Functors, GiveTheSameBitsOnAnyNumberOfThreads) {
  for (const std::int64_t size : {0, 1, 16383, 16384 * 2, 16384 * 3 + 5, 100003}) {
    const std::vector<TypeParam> x = elements<TypeParam>(static_cast<std::size_t>(size + 1));
    const Tensor in = Tensor::from(std::span<const TypeParam>(x), {size + 1}).view(1, {size});
    const Tensor one = ops::map_elements("gelu", Gelu(), in);
    const test::WithThreads three(3);
    const Tensor many = ops::map_elements("gelu", Gelu(), in);
    for (std::int64_t i = 0; i < size; ++i) {
      ASSERT_TRUE(same(one.data<TypeParam>()[i], many.data<TypeParam>()[i])) << i << " of " << size;
    }
  }
}

TYPED_TEST(Functors, MultiplyAndAddAsVectorsDo) {
  using T = TypeParam;
  const std::vector<T> x = elements<T>(999), y = elements<T>(1000), z = elements<T>(1001);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const T one = math::multiply_add(x[i], y[i + 1], z[i + 2]);
    const Vec<T> vector = math::multiply_add(Vec<T>(x[i]), Vec<T>(y[i + 1]), Vec<T>(z[i + 2]));
    EXPECT_TRUE(same(one, vector.get(0))) << x[i] << ", " << y[i + 1] << ", " << z[i + 2];
  }
}

TYPED_TEST(Functors, ScaleByPowersOfTwoWithOneRounding) {
  using T = TypeParam;
  constexpr int kDeepest = std::numeric_limits<T>::min_exponent - std::numeric_limits<T>::digits;
  for (int n = kDeepest - 8; n <= std::numeric_limits<T>::max_exponent + 8; ++n) {
    for (const double size : {0.75, 1.0, 1.1, 1.4142135}) {
      const T y = static_cast<T>(size), expected = std::ldexp(y, n);
      EXPECT_EQ(math::scaled(y, static_cast<T>(n)), expected) << y << " 2^" << n;
      EXPECT_EQ(math::scaled(Vec<T>(y), Vec<T>(static_cast<T>(n))).get(0), expected);
    }
  }
}

TYPED_TEST(Functors, PartNumbersIntoExponentAndFraction) {
  using T = TypeParam;
  for (const T element : elements<T>(10000)) {
    const T x = std::abs(element);
    if (!std::isnormal(x)) continue;
    const auto [exponent, fraction] = math::binary(x);
    EXPECT_EQ(std::ldexp(fraction, static_cast<int>(exponent)), x);
    EXPECT_GE(fraction, static_cast<T>(std::numbers::sqrt2 / 2));
    EXPECT_LE(fraction, static_cast<T>(std::numbers::sqrt2));
  }
}

// Where nothing underflows.
TYPED_TEST(Functors, KnowTheErrorOfAProductAndOfASum) {
  using T = TypeParam;
  std::mt19937_64 random(2);
  std::uniform_real_distribution<T> uniform(-10, 10);
  for (int i = 0; i < 10000; ++i) {
    const T x = uniform(random), y = uniform(random), p = x * y;
    const T error = std::fma(x, y, -p);
    EXPECT_NEAR(math::product_error(x, y, p), error, std::abs(error) * 1e-6);
    const auto sum = math::sum(x, y);
    EXPECT_EQ(sum.hi, x + y);
    // What the larger lacks of the sum is exact, and so is the difference of that to the smaller.
    const T large = std::abs(x) > std::abs(y) ? x : y, small = large == x ? y : x;
    EXPECT_EQ(sum.lo, small - (sum.hi - large));
  }
}

// By long double, whose range and digits hold all of it.
TEST(PowGradient, IsAsCloseAsThePowerIsAndLeavesTheRangeNoEarlier) {
  std::mt19937_64 random(3);
  const auto number = [&](double log2_size) {
    const double log2 = std::uniform_real_distribution(-log2_size, log2_size)(random);
    return random() % 2 ? std::exp2(log2) : -std::exp2(log2);
  };
  const double exponents[] = {0.1, -0.3, 0.5, 1, 1.5, 2, 3, -1, -2, 5, -7.25, 1e-20, 1e-300, 40.7};
  test::WorstUlps near, far;
  for (int i = 0; i < 200000; ++i) {
    const double x = i % 3 ? std::abs(number(1000)) : number(3);
    const double p = i % 2 ? exponents[i / 2 % std::ssize(exponents)] : number(i % 4 ? 4 : 60);
    const double g = number(i % 5 ? 1020 : 4);
    const long double power =
        std::pow(static_cast<long double>(x), static_cast<long double>(p) - 1);
    const long double exact = static_cast<long double>(g) * p * power;
    const double got = math::pow_gradient(x, g, p);
    if (x < 0 && std::trunc(p) != p) {
      EXPECT_TRUE(std::isnan(got)) << x << ' ' << g << ' ' << p;
      continue;
    }
    if (std::isnan(exact) || exact == 0 || std::isinf(exact)) {
      EXPECT_TRUE(same(got, static_cast<double>(exact))) << x << ' ' << g << ' ' << p;
      continue;
    }
    test::Exact parts{};
    const long double fraction = std::frexp(exact, &parts.exponent);
    parts.high = static_cast<double>(fraction);
    parts.low = static_cast<double>(fraction - parts.high);
    const bool is_near = std::isnormal(static_cast<double>(power));
    (is_near ? near : far).add(test::ulps(got, parts), x);
  }
  EXPECT_LE(near.ulps, 2) << near.at;
  EXPECT_LE(far.ulps, 6) << far.at;
}

TEST(PowGradient, IsNothingWhereNothingArrivesHoweverLargeThePower) {
  EXPECT_EQ(math::pow_gradient(1e300, 0.0, 50), 0);
  EXPECT_EQ(math::pow_gradient(1e-300, test::kInf, 50), test::kInf);
  EXPECT_EQ(math::pow_gradient(-1e300, 1.0, 4), -test::kInf);
  EXPECT_EQ(math::pow_gradient(-1e-300, 1.0, 4), 0);
  EXPECT_TRUE(std::isnan(math::pow_gradient(-2.0, 1.0, 0.5)));
  // Where the power leaves the range of double, too.
  EXPECT_EQ(math::pow_gradient(1e30F, 0.0F, 20), 0);
  EXPECT_EQ(math::pow_gradient(1e-30F, 0.0F, -11), 0);
  EXPECT_EQ(math::pow_gradient(-1e30F, 1.0F, 20), -static_cast<float>(test::kInf));
}

}  // namespace
}  // namespace maskgrad
