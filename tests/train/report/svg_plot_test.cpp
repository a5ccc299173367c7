#include <cfloat>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <maskgrad/train/report/svg_plot.hpp>

#include "support/errors.hpp"
#include "support/markup.hpp"

namespace maskgrad {
namespace {

using test::count_of;
using test::error_of;
using test::MarkupReader;
using test::Tag;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr const char* kHostile = "</title><script>alert('1')</script>\" onload=\"&\x01\xff";

PlotSeries line(std::string name, std::vector<double> values, bool is_reference = false) {
  PlotSeries series{std::move(name), {}, is_reference};
  for (const double y : values) {
    series.points.push_back({static_cast<double>(series.points.size() + 1), y});
  }
  return series;
}

LineChart chart_of(std::vector<PlotSeries> series) {
  return {.title = "loss", .x_label = "epoch", .y_label = "", .series = std::move(series)};
}

/// The tags of a drawing that must be sound.
std::vector<Tag> tags_of(const std::string& svg) {
  const MarkupReader reader(svg);
  EXPECT_EQ(reader.fault(), "");
  return reader.tags();
}

/// The paths with this class, as their `d`.
std::vector<std::string> paths_of(const std::string& svg, const std::string& css) {
  std::vector<std::string> paths;
  for (const Tag& tag : tags_of(svg)) {
    if (tag.name == "path" && tag.attribute("class") == css) paths.push_back(tag.attribute("d"));
  }
  return paths;
}

TEST(LineChart, IsSoundMarkupWhateverTheNames) {
  LineChart chart = chart_of({line(kHostile, {1, 2}), line(kHostile, {2, 1}, true)});
  chart.title = chart.x_label = chart.y_label = kHostile;
  const std::string svg = draw(chart);
  EXPECT_EQ(MarkupReader(svg).fault(), "");
  EXPECT_THAT(svg, Not(HasSubstr("<script")));
  EXPECT_THAT(svg, Not(HasSubstr("\" onload")));
  EXPECT_THAT(svg, Not(HasSubstr("\x01")));
  EXPECT_THAT(svg, Not(HasSubstr("\xff")));
  EXPECT_THAT(svg, HasSubstr("&lt;script&gt;"));
}

TEST(LineChart, PutsEachPointWhereItsValueIs) {
  const std::string svg = draw(chart_of({line("a", {4, 2, 3})}));
  std::vector<double> x, y;
  for (const Tag& tag : tags_of(svg)) {
    if (tag.name != "circle") continue;
    x.push_back(std::stod(tag.attribute("cx")));
    y.push_back(std::stod(tag.attribute("cy")));
  }
  ASSERT_EQ(x.size(), 4U);  // the legend's, then one for each point
  EXPECT_NEAR(x[2] - x[1], x[3] - x[2], 0.11);
  EXPECT_GT(x[2], x[1]);
  EXPECT_LT(y[1], y[3]);  // upwards is less
  EXPECT_NEAR(y[3], (y[1] + y[2]) / 2, 0.11);
  EXPECT_THAT(svg, HasSubstr("<title>a, epoch 2: 2</title>"));
}

TEST(LineChart, StaysInsideItsBox) {
  const std::string svg =
      draw(chart_of({line("a", {-1e6, 1e6, 0}), line("b", {1e-3}), line("c", {7}, true)}));
  double width = 0, height = 0;
  for (const Tag& tag : tags_of(svg)) {
    if (tag.name == "svg") {
      ASSERT_EQ(std::sscanf(tag.attribute("viewBox").c_str(), "0 0 %lf %lf", &width, &height), 2);
    }
    for (const char* key : {"x", "cx"}) {
      if (tag.attribute(key).empty()) continue;
      EXPECT_GE(std::stod(tag.attribute(key)), 0);
      EXPECT_LE(std::stod(tag.attribute(key)), width);
    }
    for (const char* key : {"y", "cy"}) {
      if (tag.attribute(key).empty()) continue;
      EXPECT_GE(std::stod(tag.attribute(key)), 0);
      EXPECT_LE(std::stod(tag.attribute(key)), height);
    }
  }
  EXPECT_GT(height, 0);
}

TEST(LineChart, LeavesAGapWhereAValueIsNotFinite) {
  const std::string svg = draw(chart_of({line("a", {1, 2, kNan, kInfinity, 3, 2, DBL_MAX, 4})}));
  const std::vector<std::string> paths = paths_of(svg, "line");
  ASSERT_EQ(paths.size(), 2U);  // the legend's and the series'
  EXPECT_EQ(count_of(paths[1], "M"), 3U);
  EXPECT_EQ(count_of(paths[1], "L"), 2U);
  EXPECT_EQ(count_of(svg, "<title>"), 5U);
  EXPECT_THAT(svg, HasSubstr("Not drawn: 3 values"));
  for (const char* word : {"nan", "inf,", "e+308"}) EXPECT_THAT(svg, Not(HasSubstr(word)));
}

TEST(LineChart, DrawsASinglePointAConstantAndNothingAtAll) {
  EXPECT_EQ(count_of(draw(chart_of({line("a", {2})})), "<title>"), 1U);
  EXPECT_EQ(count_of(draw(chart_of({line("a", {2, 2, 2})})), "<title>"), 3U);
  EXPECT_EQ(MarkupReader(draw(chart_of({}))).fault(), "");
  const std::string empty = draw(chart_of({line("a", {}), line("b", {kNan})}));
  EXPECT_EQ(MarkupReader(empty).fault(), "");
  EXPECT_EQ(count_of(empty, "(no values)"), 1U);
  EXPECT_THAT(empty, HasSubstr(">b (no values)<"));
  EXPECT_THAT(empty, Not(HasSubstr(">a")));
}

TEST(LineChart, DrawsAShareThatNeverChangesBetweenNoneAndAll) {
  for (const double share : {0.0, 0.5, 1.0}) {
    LineChart chart = chart_of({line("exact", {share, share})});
    chart.y_is_share = true;
    const std::string svg = draw(chart);
    EXPECT_THAT(svg, HasSubstr(">0.0</text>"));
    EXPECT_THAT(svg, HasSubstr(">1.0</text>"));
    EXPECT_THAT(svg, Not(HasSubstr(">1.1</text>")));
  }
}

TEST(LineChart, DrawsAPartOfTheFirstEpochWithinIt) {
  const std::string svg = draw(chart_of({{"run", {{0.25, 3}}}}));
  EXPECT_THAT(svg, HasSubstr(">0</text>"));
  EXPECT_THAT(svg, HasSubstr(">1</text>"));
  EXPECT_THAT(svg, Not(HasSubstr(">-1</text>")));
}

TEST(LineChart, ShowsALineThatAnotherCovers) {
  const std::string svg =
      draw(chart_of({line("key", {3, 2}), line("query", {2, 1}), line("none", {2, 1})}));
  std::vector<double> widths;
  for (const Tag& tag : tags_of(svg)) {
    if (tag.attribute("class") == "line")
      widths.push_back(std::stod(tag.attribute("stroke-width")));
  }
  ASSERT_EQ(widths.size(), 6U);
  EXPECT_EQ(widths[3], widths[5]);
  EXPECT_GT(widths[4], 2 * widths[5]);
  EXPECT_THAT(svg, HasSubstr("<g class=\"s1 band\">"));
}

TEST(LineChart, DrawsReferencesFirstAndAsSuch) {
  const std::string svg = draw(chart_of({line("a", {1, 2}), line("old", {2, 2}, true)}));
  const std::size_t plotted = svg.find("class=\"axis\"");
  EXPECT_LT(svg.find("<g class=\"ref r0\">", plotted), svg.find("<g class=\"s0\">", plotted));
  EXPECT_THAT(svg, HasSubstr("<title>old, epoch 1: 2</title>"));
  EXPECT_THAT(std::string(plot_style()), HasSubstr(".ref .line{stroke-dasharray"));
}

// The y of the points of the first series.
std::vector<double> heights(const std::string& svg) {
  std::vector<double> y;
  for (const Tag& tag : tags_of(svg)) {
    if (tag.name == "circle") y.push_back(std::stod(tag.attribute("cy")));
  }
  y.erase(y.begin());  // the legend's
  return y;
}

TEST(LineChart, HasALogarithmicAxisForThreePowersOfTen) {
  const std::string svg = draw(chart_of({line("a", {1, 1e-2, 1e-4, 1e-6})}));
  const std::vector<double> y = heights(svg);
  ASSERT_EQ(y.size(), 4U);
  for (std::size_t i = 1; i + 1 < y.size(); ++i) {
    EXPECT_NEAR(y[i + 1] - y[i], y[i] - y[i - 1], 0.21) << "equal factors, equal lengths";
  }
  EXPECT_GT(y[1] - y[0], 20);
  EXPECT_THAT(svg, HasSubstr(", logarithmic</text>"));
  EXPECT_THAT(svg, HasSubstr(">1e-6</text>"));
}

TEST(LineChart, KeepsALinearAxisForLessForSharesAndBelowZero) {
  LineChart share = chart_of({line("a", {1, 1e-6})});
  share.y_is_share = true;
  EXPECT_THAT(draw(share), Not(HasSubstr("logarithmic")));
  EXPECT_THAT(draw(chart_of({line("a", {1, 1.1e-3})})), Not(HasSubstr("logarithmic")));
  EXPECT_THAT(draw(chart_of({line("a", {5000, 1})})), Not(HasSubstr("logarithmic")));
  EXPECT_THAT(draw(chart_of({line("a", {1, 1e-6, -1e-9})})), Not(HasSubstr("logarithmic")));
  EXPECT_THAT(draw(chart_of({line("a", {0, 0})})), Not(HasSubstr("logarithmic")));
}

TEST(LineChart, SaysThatALogarithmicAxisLeavesOutZeros) {
  const std::string svg = draw(chart_of({line("a", {1, 1e-6, 0, 5e-324, kNan, 1e-5})}));
  EXPECT_THAT(svg, HasSubstr(", logarithmic</text>"));
  EXPECT_THAT(svg, HasSubstr("Not drawn: 3 values that are 0 or not finite."));
  EXPECT_EQ(heights(svg).size(), 3U);
}

TEST(LineChart, DrawsABandBelowTheLinesAndInsideItsBox) {
  LineChart chart = chart_of({line("a", {2, 2})});
  chart.bands = {{.name = kHostile, .x = {1, 2, 3}, .low = {1, 1, kNan}, .high = {3, 4, 5}}};
  const std::string svg = draw(chart);
  const std::vector<std::string> areas = paths_of(svg, "area");
  ASSERT_EQ(areas.size(), 2U) << "the legend's and the band";
  double x = 0, high = 0, x2 = 0, high2 = 0, x3 = 0, low2 = 0, x4 = 0, low = 0;
  ASSERT_EQ(std::sscanf(areas[1].c_str(), "M%lf,%lfL%lf,%lfL%lf,%lfL%lf,%lfz", &x, &high, &x2,
                        &high2, &x3, &low2, &x4, &low),
            8);
  EXPECT_EQ(x, x4);
  EXPECT_EQ(x2, x3);
  EXPECT_EQ(low, low2) << "1 at both epochs";
  EXPECT_NEAR(low - high2, 1.5 * (low - high), 0.2) << "3 high, and 2";
  EXPECT_LT(svg.rfind("class=\"area\""), svg.find("<title>a, epoch 1: 2"));
}

TEST(LineChart, KeepsEveryPointOfALongLineButFewMarkers) {
  std::vector<double> values(5000);
  std::iota(values.begin(), values.end(), 0.0);
  const std::string svg = draw(chart_of({line("a", values)}));
  EXPECT_EQ(count_of(paths_of(svg, "line").at(1), "L"), 4999U);
  EXPECT_LE(count_of(svg, "<title>"), 62U);
  EXPECT_THAT(svg, HasSubstr("epoch 1: 0<"));
  EXPECT_THAT(svg, HasSubstr("epoch 5000: 4999<"));
}

TEST(Charts, GiveEqualBytesForEqualInput) {
  const LineChart lines = chart_of({line("a", {0.1, 1.0 / 3}), line("b", {2, kNan})});
  EXPECT_EQ(draw(lines), draw(lines));
  const RidgeChart ridges{"w", "epoch", {{"1", make_histogram(std::vector<double>{1, 2})}}, 0};
  EXPECT_EQ(draw(ridges), draw(ridges));
}

TEST(Rebin, FindsTheCountsOfTheValuesThemselves) {
  // 1000 values a bin, all far from a bin's edge and near others: buckets are finer than bins.
  std::vector<double> values;
  for (int i = 0; i < 3000; ++i) values.push_back(1.4 + i % 3 + 0.0001 * (i % 100));
  const std::vector<double> bins = rebin(make_histogram(values), 1, 4, 3);
  ASSERT_EQ(bins.size(), 3U);
  for (const double count : bins) EXPECT_NEAR(count, 1000, 1e-9);
}

TEST(Rebin, LosesAndInventsNothing) {
  std::mt19937 random(3);
  std::normal_distribution<double> normal(0.2, 3);
  std::vector<double> values(1234);
  for (double& value : values) value = normal(random);
  const Histogram histogram = make_histogram(values);
  for (const std::size_t bins : {1U, 7U, 40U}) {
    const auto counts = rebin(histogram, histogram.min - 1, histogram.max + 0.5, bins);
    EXPECT_NEAR(std::accumulate(counts.begin(), counts.end(), 0.0), 1234, 1e-6);
  }
  EXPECT_THAT(rebin(make_histogram(std::vector<double>{3, 3}), 2, 4, 4), ElementsAre(0, 0, 2, 0));
  EXPECT_THAT(rebin(make_histogram(std::vector<double>{kNan}), 0, 1, 2), ElementsAre(0, 0));
  EXPECT_EQ(error_of([&] { rebin(histogram, 0, 1, 0); }), "[rebin] needs at least one bin");
}

TEST(RidgeChart, DrawsTheFirstAndTheLastOfManyRidges) {
  RidgeChart chart{"dense.weight", "epoch", {}, 8};
  for (int epoch = 1; epoch <= 100; ++epoch) {
    chart.ridges.push_back(
        {std::to_string(epoch), make_histogram(std::vector<double>{-1, 0.5 * epoch, 2})});
  }
  const std::string svg = draw(chart);
  EXPECT_EQ(paths_of(svg, "ridge").size(), 12U);
  EXPECT_THAT(svg, HasSubstr("<title>epoch 1: min -1, mean 0.5, max 2, std 1.225</title>"));
  EXPECT_THAT(svg, HasSubstr("<title>epoch 100: min -1,"));
  EXPECT_LT(svg.find("<title>epoch 1:"), svg.find("<title>epoch 100:"));
  EXPECT_THAT(svg, HasSubstr("class=\"plot ridges s2\""));
}

TEST(RidgeChart, SurvivesHistogramsThatAreEmptyConstantOrBroken) {
  Histogram broken = make_histogram(std::vector<double>{-2, 1, 5});
  broken.bucket_limit.front() = kNan;
  broken.bucket.back() = kInfinity;
  broken.bucket.push_back(-3);
  Histogram endless = broken;
  endless.max = kInfinity;
  const Histogram nothing = make_histogram(std::vector<double>{});
  const Histogram constant = make_histogram(std::vector<double>{0, 0});
  const RidgeChart chart{
      kHostile, kHostile, {{kHostile, broken}, {"2", endless}, {"3", nothing}, {"4", constant}}, 0};
  const std::string svg = draw(chart);
  EXPECT_EQ(paths_of(svg, "ridge").size(), 4U);
  EXPECT_EQ(count_of(svg, ": no finite values"), 2U);
  for (const std::string& path : paths_of(svg, "ridge")) {
    EXPECT_EQ(path.find_first_not_of("MLz0123456789.,-"), std::string::npos) << path;
  }
  EXPECT_THAT(draw(RidgeChart{"w", "epoch", {}, 0}), HasSubstr("no finite values"));
}

TEST(MaskChart, DrawsARectangleForEachRunOfKeptKeys) {
  const AttentionMask mask = AttentionMask::window(4, 4, 0, 0) | AttentionMask::sink(4, 4, 1);
  const std::string svg = draw(MaskChart{.title = kHostile,
                                         .mask = mask,
                                         .queries = {"a", "b", "<", "d"},
                                         .keys = {"a", "b", "<", "d"}})
                              .svg;
  EXPECT_EQ(count_of(svg, "class=\"kept\""), 1 + 1 + 2 + 2);  // rows 0 and 1 have one run
  EXPECT_EQ(count_of(svg, "&lt;</text>"), 2);
  EXPECT_EQ(MarkupReader(svg).fault(), "");
}

TEST(MaskChart, DrawsTheBeginningOfALargeMaskAndNothingOfAnEmptyOne) {
  const std::string large = draw(MaskChart{.title = "", .mask = AttentionMask::all(500, 500)}).svg;
  EXPECT_EQ(count_of(large, "class=\"kept\""), 128);
  const std::string empty = draw(MaskChart{.title = "", .mask = AttentionMask::all(0, 0)}).svg;
  EXPECT_EQ(count_of(empty, "class=\"kept\""), 0);
  EXPECT_EQ(error_of([] { draw(MaskChart{}); }),
            "[report] a mask that says nothing cannot be drawn");
}

}  // namespace
}  // namespace maskgrad
