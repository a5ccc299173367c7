#include <cmath>
#include <limits>
#include <vector>

#include <gmock/gmock.h>

#include <maskgrad/tensor/random.hpp>
#include <maskgrad/tensor/scalar.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;
using test::kEveryDType;
using test::kInf;
using test::kNaN;
using Int = std::int64_t;

constexpr Int kLeast = std::numeric_limits<Int>::min(), kMost = std::numeric_limits<Int>::max();
constexpr float kLargestFloat = std::numeric_limits<float>::max();
constexpr double kLargest = std::numeric_limits<double>::max();

// Integers near everything that matters to a dtype, and some at random.
std::vector<Int> integers() {
  std::vector<Int> all = {kLeast, kLeast + 1, kMost - 1, kMost};
  for (int bit = 0; bit < 63; ++bit) {
    for (const Int off : {-3, -2, -1, 0, 1, 2, 3}) {
      all.push_back((Int{1} << bit) + off);
      all.push_back(-(Int{1} << bit) + off);
    }
  }
  Random random(1);
  for (int i = 0; i < 1000; ++i) all.push_back(random.integer(kLeast, kMost));
  return all;
}

// A long double of x86 has 64 bits of mantissa: every integer, and every other type, exactly.
using Wide = long double;
static_assert(std::numeric_limits<Wide>::digits >= 64);

TEST(Scalar, KeepsItsKind) {
  EXPECT_EQ(Scalar(true).kind(), Scalar::Kind::kBool);
  EXPECT_EQ(Scalar(1).kind(), Scalar::Kind::kInteger);
  EXPECT_EQ(Scalar(std::uint8_t{1}).kind(), Scalar::Kind::kInteger);
  EXPECT_EQ(Scalar(std::uint64_t{1} << 63).kind(), Scalar::Kind::kInteger);
  EXPECT_EQ(Scalar(1.0F).kind(), Scalar::Kind::kReal);
  EXPECT_EQ(Scalar(1.0).kind(), Scalar::Kind::kReal);
}

TEST(Scalar, GivesAnIntegerToATypeThatHoldsItExactly) {
  for (const Int n : integers()) {
    const Scalar scalar(n);
    EXPECT_EQ(scalar.as<Int>(), n);
    EXPECT_EQ(scalar.fits(DType::kInt32), n >= -(Int{1} << 31) && n < Int{1} << 31) << n;
    EXPECT_EQ(scalar.fits(DType::kBool), n == 0 || n == 1) << n;
    EXPECT_EQ(scalar.fits(DType::kFloat32), Wide{static_cast<float>(n)} == Wide(n)) << n;
    EXPECT_EQ(scalar.fits(DType::kFloat64), Wide{static_cast<double>(n)} == Wide(n)) << n;
    EXPECT_EQ(Wide{scalar.as<double>().value_or(static_cast<double>(n))},
              Wide{static_cast<double>(n)});
    EXPECT_EQ(Wide{scalar.as<float>().value_or(static_cast<float>(n))},
              Wide{static_cast<float>(n)});
  }
  EXPECT_EQ(Scalar(Int{9007199254740993}).as<Int>(), 9007199254740993);
  EXPECT_FALSE(Scalar(Int{9007199254740993}).fits(DType::kFloat64));
  EXPECT_FALSE(Scalar(std::uint64_t{1} << 63).fits(DType::kInt64));
  EXPECT_EQ(Scalar(std::uint64_t{1} << 63).as<double>(), 0x1p63);
  EXPECT_FALSE(Scalar(~std::uint64_t{0}).fits(DType::kFloat64));
}

TEST(Scalar, RoundsARealNumberButNeverToInfinity) {
  for (const double x : {0.1, -1.0 / 3, 1e-50, 5e-324, 16777217.0, 3.0e38}) {
    EXPECT_EQ(Scalar(x).as<float>(), static_cast<float>(x));
    EXPECT_EQ(Scalar(x).as<double>(), x);
  }
  // Halfway between the largest float and the next one that would follow.
  const double edge = 0x1.ffffffp127;
  EXPECT_EQ(Scalar(double{kLargestFloat}).as<float>(), kLargestFloat);
  EXPECT_EQ(Scalar(std::nextafter(edge, 0)).as<float>(), kLargestFloat);
  for (const double x : {edge, 1e39, kLargest}) {
    EXPECT_FALSE(Scalar(x).fits(DType::kFloat32)) << x;
    EXPECT_FALSE(Scalar(-x).fits(DType::kFloat32)) << x;
    EXPECT_TRUE(Scalar(x).fits(DType::kFloat64)) << x;
  }
}

TEST(Scalar, GivesARealNumberToAnIntegerTypeOnlyIfItIsOne) {
  for (const double x : {-0.0, 0.0, 1.0, -1.0, 2147483647.0, -2147483648.0}) {
    EXPECT_EQ(Scalar(x).as<std::int32_t>(), static_cast<std::int32_t>(x));
    EXPECT_EQ(Scalar(x).as<Int>(), static_cast<Int>(x));
  }
  for (const double x : {0.5, -1e-300, 2147483648.0, -2147483649.0, kInf, -kInf, kNaN}) {
    EXPECT_FALSE(Scalar(x).fits(DType::kInt32)) << x;
  }
  EXPECT_EQ(Scalar(-0x1p63).as<Int>(), kLeast);
  EXPECT_EQ(Scalar(std::nextafter(0x1p63, 0)).as<Int>(), kMost - 1023);
  EXPECT_FALSE(Scalar(0x1p63).fits(DType::kInt64));
  EXPECT_FALSE(Scalar(std::nextafter(-0x1p63, -kInf)).fits(DType::kInt64));
}

TEST(Scalar, GivesInfAndNaNToFloatingTypesAlone) {
  for (const DType dtype : kEveryDType) {
    for (const double x : {kInf, -kInf, kNaN}) {
      EXPECT_EQ(Scalar(x).fits(dtype), is_floating(dtype)) << to_string(dtype);
    }
  }
  EXPECT_EQ(Scalar(-kInf).as<float>(), -std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(*Scalar(kNaN).as<float>()));
}

TEST(Scalar, IsTrueOrFalseWhereItIsOneOrZero) {
  for (const Scalar one : {Scalar(true), Scalar(1), Scalar(1.0)}) {
    EXPECT_EQ(one.as<bool>(), true);
    EXPECT_EQ(one.as<Int>(), 1);
    EXPECT_EQ(one.as<float>(), 1.0F);
  }
  for (const Scalar other : {Scalar(2), Scalar(-1), Scalar(0.5), Scalar(kNaN)}) {
    EXPECT_FALSE(other.fits(DType::kBool)) << fmt::format("{}", other);
  }
}

TEST(Scalar, NamesWhatDoesNotFit) {
  EXPECT_EQ(error_of([] { return Scalar(0.5).to<std::int32_t>("op", "fill"); }),
            "[op] fill 0.5 is no int32");
  EXPECT_EQ(error_of([] { return Scalar(-1e39).to<float>("op", "fill"); }),
            "[op] fill -1e+39 is no float32");
  EXPECT_EQ(error_of([] { return Scalar(Int{9007199254740993}).to<double>("op", "fill"); }),
            "[op] fill 9007199254740993 is no float64");
  EXPECT_EQ(error_of([] { Scalar(~std::uint64_t{0}).check_fits("op", "n", DType::kInt64); }),
            "[op] n 18446744073709551615 is no int64");
  EXPECT_EQ(error_of([] { Scalar(true).check_fits("op", "n", DType::kFloat32); }), "no error");
}

TEST(Scalar, IsComparedByValueWithoutRounding) {
  const auto compare_all = [](const Scalar& a, Wide x, const Scalar& b, Wide y) {
    EXPECT_EQ(a < b, x < y) << fmt::format("{} {}", a, b);
    EXPECT_EQ(a > b, x > y) << fmt::format("{} {}", a, b);
    EXPECT_EQ(a == b, x == y) << fmt::format("{} {}", a, b);
    EXPECT_EQ(a <= b, x <= y) << fmt::format("{} {}", a, b);
  };
  const std::vector<double> reals = {0.0,     -0.5,    0.5,    1e300,
                                     -1e300,  kInf,    -kInf,  0x1p63,
                                     -0x1p63, 0x1p64,  0x1p53, std::nextafter(0x1p63, 0),
                                     3.0,     -2.25e9, kNaN};
  for (const Int n : integers()) {
    for (const double x : reals) {
      compare_all(n, Wide(n), x, Wide{x});
      compare_all(x, Wide{x}, n, Wide(n));
    }
    const auto rounded = static_cast<double>(n);
    compare_all(n, Wide(n), rounded, Wide{rounded});
    compare_all(n, Wide(n), Int{5}, Wide{5});
  }
  const std::uint64_t huge = ~std::uint64_t{0};
  compare_all(huge, Wide(huge), 0x1p64, Wide{0x1p64});
  compare_all(huge, Wide(huge), kMost, Wide(kMost));
  compare_all(true, Wide{1}, 1.0, Wide{1});
  EXPECT_TRUE(Scalar(kNaN) != Scalar(kNaN));
}

TEST(ParseScalar, ReadsEachKindExactly) {
  const auto same = [](const char* text, const Scalar& expected) {
    const auto read = parse_scalar(text);
    ASSERT_TRUE(read.has_value()) << text;
    EXPECT_EQ(read->kind(), expected.kind()) << text;
    EXPECT_TRUE(*read == expected) << text;
  };
  same("true", true);
  same("false", false);
  same("9007199254740993", Int{9007199254740993});
  same("-9223372036854775808", kLeast);
  same("18446744073709551615", ~std::uint64_t{0});
  same("1e3", 1000.0);
  same("0.1", 0.1);
  same("-2.", -2.0);
  same("inf", kInf);
  same("-inf", -kInf);
  same("1e300", 1e300);
  EXPECT_TRUE(std::isnan(*parse_scalar("nan")->as<double>()));
  EXPECT_EQ(parse_scalar("nan")->kind(), Scalar::Kind::kReal);
}

TEST(ParseScalar, RefusesWhatIsNoNumberOrWouldHaveToBeChanged) {
  for (const char* text :
       {"", "x", "1 ", " 1", "+1", "1,5", "0x10", "True", "1e999", "-1e999", "1e3x", "--1",
        "18446744073709551616", "-9223372036854775809", "99999999999999999999999"}) {
    EXPECT_FALSE(parse_scalar(text).has_value()) << text;
  }
}

TEST(ParseScalar, ReadsBackWhatIsPrinted) {
  for (const Scalar scalar : {Scalar(true), Scalar(kLeast), Scalar(~std::uint64_t{0}), Scalar(0.1),
                              Scalar(1e-300), Scalar(-kInf), Scalar(-2.5)}) {
    EXPECT_TRUE(*parse_scalar(fmt::format("{}", scalar)) == scalar) << fmt::format("{}", scalar);
  }
}

}  // namespace
}  // namespace maskgrad
