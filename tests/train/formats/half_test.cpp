#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include <maskgrad/train/formats/half.hpp>
#include <maskgrad/train/formats/little_endian.hpp>
#include <maskgrad/train/formats/tensor_file.hpp>

#include "support/files.hpp"

namespace maskgrad {
namespace {

constexpr HalfKind kKinds[] = {HalfKind::kFloat16, HalfKind::kBFloat16};
constexpr double kInf = std::numeric_limits<double>::infinity();

int fraction_bits(HalfKind kind) { return kind == HalfKind::kFloat16 ? 10 : 7; }

// IEEE 754: (-1)^sign 2^(exponent - bias) (1 + fraction), and without the 1 for exponent 0.
double by_formula(HalfKind kind, std::uint16_t bits) {
  const int m = fraction_bits(kind), bias = kind == HalfKind::kFloat16 ? 15 : 127;
  const int exponent = (bits & 0x7fff) >> m, most = 2 * bias + 1;
  const double fraction = std::ldexp(bits & ((1 << m) - 1), -m), sign = bits >> 15 ? -1 : 1;
  if (exponent == most) return fraction == 0 ? sign * kInf : std::nan("");
  return exponent == 0 ? sign * std::ldexp(fraction, 1 - bias)
                       : sign * std::ldexp(1 + fraction, exponent - bias);
}

TEST(Half, HasTheValueOfTheFormulaForEveryPattern) {
  for (const HalfKind kind : kKinds) {
    for (int i = 0; i < 0x10000; ++i) {
      const auto bits = static_cast<std::uint16_t>(i);
      const float value = from_half(kind, bits);
      const double want = by_formula(kind, bits);
      if (std::isnan(want)) {
        ASSERT_TRUE(std::isnan(value)) << i;
      } else {
        ASSERT_EQ(value, want) << i;
        ASSERT_EQ(std::signbit(value), i >= 0x8000) << i;
      }
    }
  }
}

TEST(Half, GivesEveryPatternBackThatItCameFrom) {
  for (const HalfKind kind : kKinds) {
    for (int i = 0; i < 0x10000; ++i) {
      const auto bits = static_cast<std::uint16_t>(i);
      const float value = from_half(kind, bits);
      ASSERT_EQ(to_half(kind, value), bits) << "also the payload of NaN";
      if (std::isnan(value)) continue;  // a conversion may change its payload
      ASSERT_EQ(to_half(kind, static_cast<double>(value)), bits);
    }
  }
}

TEST(Half, RoundsToTheNearestAndHalfwayToTheEvenOne) {
  for (const HalfKind kind : kKinds) {
    const int infinity = 0x7fff >> fraction_bits(kind) << fraction_bits(kind);
    for (int i = 0; i < infinity - 1; ++i) {
      const auto low = static_cast<std::uint16_t>(i), high = static_cast<std::uint16_t>(i + 1);
      const double middle = (by_formula(kind, low) + by_formula(kind, high)) / 2;
      ASSERT_EQ(to_half(kind, middle), i % 2 == 0 ? low : high);
      ASSERT_EQ(to_half(kind, std::nextafter(middle, 0.0)), low);
      ASSERT_EQ(to_half(kind, std::nextafter(middle, kInf)), high);
      ASSERT_EQ(to_half(kind, -middle), (i % 2 == 0 ? low : high) | 0x8000);
    }
  }
}

TEST(Half, RoundsADoubleOnceAndNotToFloatFirst) {
  const double middle = 1 + std::ldexp(1.0, -11), above = middle + std::ldexp(1.0, -40);
  EXPECT_EQ(static_cast<float>(above), middle);
  EXPECT_EQ(to_half(HalfKind::kFloat16, above), 0x3c01);
  EXPECT_EQ(to_half(HalfKind::kFloat16, middle), 0x3c00);
}

TEST(Half, OverflowsFromTheMiddleBeyondTheLargestOn) {
  EXPECT_EQ(to_half(HalfKind::kFloat16, std::nextafter(65520.0, 0.0)), 0x7bff);
  EXPECT_EQ(to_half(HalfKind::kFloat16, 65520.0), 0x7c00);
  EXPECT_EQ(to_half(HalfKind::kFloat16, -1e300), 0xfc00);
  EXPECT_EQ(to_half(HalfKind::kFloat16, -std::numeric_limits<float>::infinity()), 0xfc00);
  const double most = std::ldexp(2 - std::ldexp(1.0, -8), 127);  // half a step above the largest
  EXPECT_EQ(to_half(HalfKind::kBFloat16, std::nextafter(most, 0.0)), 0x7f7f);
  EXPECT_EQ(to_half(HalfKind::kBFloat16, most), 0x7f80);
  EXPECT_EQ(to_half(HalfKind::kBFloat16, std::numeric_limits<float>::max()), 0x7f80);
}

TEST(Half, KeepsTheSignAndTheUpperPayloadOfNaN) {
  const auto of = [](HalfKind kind, std::uint32_t bits) {
    return to_half(kind, std::bit_cast<float>(bits));
  };
  EXPECT_EQ(of(HalfKind::kFloat16, 0x7fc00000), 0x7e00);
  EXPECT_EQ(of(HalfKind::kFloat16, 0xffd55555), 0xfeaa);
  EXPECT_EQ(of(HalfKind::kFloat16, 0x7f800001), 0x7c01) << "not infinity";
  EXPECT_EQ(of(HalfKind::kBFloat16, 0x7fd50000), 0x7fd5);
  EXPECT_EQ(of(HalfKind::kBFloat16, 0xff800001), 0xff81);
  EXPECT_EQ(to_half(HalfKind::kFloat16, std::bit_cast<double>(0x7ff0000000000001)), 0x7c01);
}

// tests/reference/half.py
TEST(Half, RoundsAsNumPyAndPyTorchDo) {
  const auto path = test::test_data("half.safetensors");
  const auto tensors = load_tensors(path);
  std::map<std::string, std::string_view> raw;
  const auto file = SafetensorsFile::open(path);
  for (const SafetensorsEntry& entry : file.entries()) raw[entry.name] = entry.data;
  const auto compare = [&](HalfKind kind, const std::string& result, auto values) {
    ASSERT_GT(values.size(), 1000U);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto want = load_little_endian<std::uint16_t>(raw.at(result).data() + 2 * i);
      ASSERT_EQ(to_half(kind, values[i]), want) << result << " of " << values[i];
    }
  };
  compare(HalfKind::kFloat16, "from64.float16", tensors.at("from64").values<double>());
  compare(HalfKind::kFloat16, "from32.float16", tensors.at("from32").values<float>());
  compare(HalfKind::kBFloat16, "from32.bfloat16", tensors.at("from32").values<float>());
}

}  // namespace
}  // namespace maskgrad
