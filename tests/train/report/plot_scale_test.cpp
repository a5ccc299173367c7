#include <cfloat>
#include <cmath>
#include <limits>
#include <random>
#include <set>

#include <gmock/gmock.h>

#include <maskgrad/train/report/plot_scale.hpp>

namespace maskgrad {
namespace {

using ::testing::ElementsAre;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(Ticks, AreTheRoundNumbersAPersonWouldChoose) {
  EXPECT_THAT(make_ticks({0.3, 0.9, false}, 6).values,
              ElementsAre(0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9));
  EXPECT_THAT(make_ticks({0.8824, 1.7373, false}, 5).labels,
              ElementsAre("0.8", "1.0", "1.2", "1.4", "1.6", "1.8"));
  EXPECT_THAT(make_ticks({-3, 12, false}, 4).labels, ElementsAre("-5", "0", "5", "10", "15"));
  EXPECT_THAT(make_ticks({0, 4e-5, false}, 2).labels, ElementsAre("0", "2e-05", "4e-05"));
  EXPECT_THAT(make_ticks({1, 3, false}, 12, TickKind::kWhole).labels, ElementsAre("1", "2", "3"));
  EXPECT_THAT(make_ticks({1, 40, false}, 8, TickKind::kWhole).labels,
              ElementsAre("0", "5", "10", "15", "20", "25", "30", "35", "40"));
}

TEST(Ticks, CoverAnyRangeWithDistinctLabelsThatSayTheirValue) {
  std::mt19937 random(7);
  std::uniform_real_distribution<double> mantissa(-1, 1), exponent(-190, 190), nearness(-11, 0);
  for (int i = 0; i < 3000; ++i) {
    const double a = mantissa(random) * std::pow(10, exponent(random));
    const double b = i % 2 == 0 ? a * (1 + std::pow(10, nearness(random)))
                                : mantissa(random) * std::pow(10, exponent(random));
    const PlotRange range{std::min(a, b), std::max(a, b), false};
    const Ticks ticks = make_ticks(range, 6);
    ASSERT_LE(ticks.low(), range.low);
    ASSERT_GE(ticks.high(), range.high);
    ASSERT_GE(ticks.values.size(), 2U);
    ASSERT_LE(ticks.values.size(), 9U);
    const std::set<std::string> labels(ticks.labels.begin(), ticks.labels.end());
    ASSERT_EQ(labels.size(), ticks.values.size()) << a << " " << b;
    const double step = (ticks.high() - ticks.low()) / static_cast<double>(labels.size() - 1);
    for (std::size_t k = 0; k < ticks.values.size(); ++k) {
      ASSERT_NEAR(std::stod(ticks.labels[k]), ticks.values[k], step / 1000) << a << " " << b;
      ASSERT_NEAR(ticks.values[k], ticks.low() + static_cast<double>(k) * step, step / 1000);
    }
  }
}

TEST(Ticks, LeaveRoomAroundASingleValueAndAroundNone) {
  for (const double value : {0.0, 5.0, -0.25, 1e-310, 1e200, -1e200}) {
    const Ticks ticks = make_ticks({value, value, false}, 5);
    EXPECT_LT(ticks.low(), value);
    EXPECT_GT(ticks.high(), value);
  }
  EXPECT_THAT(make_ticks({1, 1, false}, 12, TickKind::kWhole).labels, ElementsAre("0", "1", "2"));
  EXPECT_EQ(make_ticks({}, 1).labels, (std::vector<std::string>{"0", "1"}));
}

TEST(PlotRange, IsThatOfTheDrawableValues) {
  PlotRange range;
  for (const double value : {kNan, kInfinity, DBL_MAX}) range.add(value);
  EXPECT_TRUE(range.is_empty);
  for (const double value : {2.0, -kInfinity, -1.0, kNan}) range.add(value);
  EXPECT_EQ(range.low, -1);
  EXPECT_EQ(range.high, 2);
}

TEST(FormatPixels, KeepsOneDecimalWhereThereIsOne) {
  EXPECT_EQ(format_pixels(12), "12");
  EXPECT_EQ(format_pixels(12.26), "12.3");
  EXPECT_EQ(format_pixels(-0.04), "0");
}

TEST(LogTicks, ArePowersOfTenAroundTheRange) {
  EXPECT_THAT(make_log_ticks({1e-7, 2.3, false}, 8).labels,
              ElementsAre("1e-7", "1e-6", "1e-5", "1e-4", "0.001", "0.01", "0.1", "1", "10"));
  EXPECT_THAT(make_log_ticks({2, 3000, false}, 6).labels,
              ElementsAre("1", "10", "100", "1000", "10000"));
  EXPECT_THAT(make_log_ticks({0.1, 0.1, false}, 6).values.size(), ::testing::Ge(2U));
  std::mt19937 random(3);
  std::uniform_real_distribution<double> exponent(-200, 200);
  for (int i = 0; i < 2000; ++i) {
    const double a = std::pow(10, exponent(random)), b = std::pow(10, exponent(random));
    const PlotRange range{std::min(a, b), std::max(a, b), false};
    const Ticks ticks = make_log_ticks(range, 6);
    ASSERT_LE(ticks.low(), range.low);
    ASSERT_GE(ticks.high(), range.high);
    ASSERT_LE(ticks.values.size(), 8U);
    for (std::size_t k = 0; k < ticks.values.size(); ++k) {
      ASSERT_NEAR(std::stod(ticks.labels[k]) / ticks.values[k], 1, 1e-9) << ticks.labels[k];
    }
  }
}

}  // namespace
}  // namespace maskgrad
