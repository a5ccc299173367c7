#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <maskgrad/train/formats/histogram.hpp>
#include <maskgrad/train/formats/tensorboard.hpp>

#include "support/files.hpp"

namespace maskgrad {
namespace {

using test::test_data;
using ::testing::Each;
using ::testing::ElementsAre;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(Histogram, HasTensorFlowsFieldsAndBuckets) {
  // The values that TensorFlow summarised into the file.
  const std::vector<double> values = {-3.5, -1e-13, 0, 0, 1e-12, 0.1, 0.1, 2, 1e21, -1e19};
  const auto events = read_events(test_data("tensorflow.tfevents")).events;
  const auto& want = std::get<Histogram>(events.at(1).values.at(0).value);
  const Histogram got = make_histogram(values);
  EXPECT_EQ(got.bucket_limit, want.bucket_limit);
  EXPECT_EQ(got.bucket, want.bucket);
  EXPECT_EQ(got.min, want.min);
  EXPECT_EQ(got.max, want.max);
  EXPECT_EQ(got.num, want.num);
  EXPECT_EQ(got.sum, want.sum);
  EXPECT_EQ(got.sum_squares, want.sum_squares);
}

TEST(Histogram, PutsEachValueLeftOfItsLimit) {
  std::vector<double> values;
  for (int i = -400; i <= 400; ++i) values.push_back(std::copysign(std::exp(i / 10.0), i % 2));
  const Histogram histogram = make_histogram(values);
  EXPECT_EQ(std::accumulate(histogram.bucket.begin(), histogram.bucket.end(), 0.0), 801.0);
  ASSERT_EQ(histogram.bucket.size(), histogram.bucket_limit.size());
  EXPECT_TRUE(std::is_sorted(histogram.bucket_limit.begin(), histogram.bucket_limit.end()));
  double left = -kInfinity;
  for (std::size_t i = 0; i < histogram.bucket.size(); ++i) {
    const double right = histogram.bucket_limit[i];
    EXPECT_EQ(histogram.bucket[i],
              static_cast<double>(std::count_if(values.begin(), values.end(),
                                                [&](double v) { return left <= v && v < right; })));
    left = right;
  }
}

TEST(Histogram, EdgesGrowByATenth) {
  const double value = 1;
  const Histogram histogram = make_histogram(std::span(&value, 1));
  // Empty below, the bucket of 1, empty above: its edges are 1e-12 * 1.1^289 and 1.1^290.
  EXPECT_THAT(histogram.bucket, ElementsAre(0, 1, 0));
  EXPECT_NEAR(histogram.bucket_limit[0], 1e-12 * std::pow(1.1, 289), 1e-12);
  EXPECT_NEAR(histogram.bucket_limit[1], 1e-12 * std::pow(1.1, 290), 1e-12);
  EXPECT_EQ(histogram.bucket_limit[2], DBL_MAX);
}

TEST(Histogram, CountsTheLargestFiniteValues) {
  const std::vector<double> values = {-DBL_MAX, DBL_MAX};
  const Histogram histogram = make_histogram(values);
  EXPECT_EQ(histogram.num, 2);
  EXPECT_EQ(std::accumulate(histogram.bucket.begin(), histogram.bucket.end(), 0.0), 2.0);
  EXPECT_EQ(histogram.bucket.back(), 1);
}

TEST(Histogram, LeavesOutWhatIsNotFinite) {
  const std::vector<double> values = {1, kInfinity, 2, -kInfinity, std::nan("")};
  const std::vector<double> finite = {1, 2};
  const Histogram got = make_histogram(values);
  const Histogram want = make_histogram(finite);
  EXPECT_EQ(got.num, 2);
  EXPECT_EQ(got.sum, 3);
  EXPECT_EQ(got.min, 1);
  EXPECT_EQ(got.max, 2);
  EXPECT_EQ(got.bucket, want.bucket);
}

TEST(Histogram, OfNothingIsOneEmptyBucket) {
  const double nan = std::nan("");
  for (const Histogram& histogram :
       {make_histogram(std::span<const double>()), make_histogram(std::span(&nan, 1))}) {
    EXPECT_EQ(histogram.num, 0);
    EXPECT_EQ(histogram.min, 0);
    EXPECT_EQ(histogram.max, 0);
    EXPECT_THAT(histogram.bucket, ElementsAre(0));
    EXPECT_THAT(histogram.bucket_limit, ElementsAre(DBL_MAX));
  }
}

TEST(Histogram, TakesFloatsAsTheDoublesTheyAre) {
  const std::vector<float> floats = {0.1f, -2.5f};
  const std::vector<double> doubles = {0.1f, -2.5f};
  EXPECT_EQ(make_histogram(floats).sum_squares, make_histogram(doubles).sum_squares);
  EXPECT_EQ(make_histogram(floats).bucket_limit, make_histogram(doubles).bucket_limit);
}

}  // namespace
}  // namespace maskgrad
