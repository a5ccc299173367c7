// The blog's experiment, step by step against runs of other frameworks (tests/data/blog).
#include <fstream>

#include <gtest/gtest.h>

#include "support/files.hpp"
#include "support/tensors.hpp"
#include "support/threads.hpp"
#include "train/blog_run.hpp"

namespace maskgrad {
namespace {

using test::BlogRun;
using test::same_bits;
using test::test_data;

std::vector<double> reference(const char* name) {
  std::ifstream file(test_data("blog") / name);
  std::vector<double> losses;
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) losses.push_back(std::stod(line.substr(line.find(',') + 1)));
  EXPECT_EQ(losses.size(), 500U);
  return losses;
}

std::vector<double> train(MaskAxis axis, DType dtype) {
  BlogRun run(axis, dtype, {.batch_size = 2});
  EXPECT_EQ(run.parameters.count(), 49145);
  return run.losses(500);
}

void expect_near(const std::vector<double>& actual, const std::vector<double>& expected,
                 double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    ASSERT_NEAR(actual[i], expected[i], tolerance) << "step " << i;
  }
}

TEST(BlogParity, EachStepOfTheKeyMaskHasTheReferenceLoss) {
  const std::vector<double> expected = reference("steps_key_float64_500.csv");
  expect_near(train(MaskAxis::kKey, DType::kFloat64), expected, 1e-9);
  expect_near(train(MaskAxis::kKey, DType::kFloat32), expected, 1e-4);
}

TEST(BlogParity, EachStepOfTheQueryMaskHasTheReferenceLoss) {
  const std::vector<double> expected = reference("steps_query_float64_500.csv");
  expect_near(train(MaskAxis::kQuery, DType::kFloat64), expected, 1e-9);
  expect_near(train(MaskAxis::kQuery, DType::kFloat32), expected, 1e-4);
}

TEST(BlogParity, TheQueryMaskIsNoMask) {
  for (const DType dtype : test::kFloatingDTypes) {
    EXPECT_EQ(train(MaskAxis::kQuery, dtype), train(MaskAxis::kNone, dtype));
  }
}

TEST(BlogParity, AnyNumberOfThreadsGivesTheSameBits) {
  for (const DType dtype : test::kFloatingDTypes) {
    BlogRun one(MaskAxis::kKey, dtype, {.batch_size = 100, .shuffle = true});
    const std::vector<double> expected = one.losses(50);
    for (const int count : {2, 3}) {
      const test::WithThreads threads(count);
      BlogRun several(MaskAxis::kKey, dtype, {.batch_size = 100, .shuffle = true});
      EXPECT_EQ(several.losses(50), expected) << count << " threads";
      EXPECT_TRUE(same_bits(several.parameters.values(), one.parameters.values()));
    }
  }
}

}  // namespace
}  // namespace maskgrad
