#include <gtest/gtest.h>

#include <maskgrad/train/number_text.hpp>

namespace maskgrad {
namespace {

TEST(MeanText, ShowsDigitsOfSmallNumbersToo) {
  EXPECT_EQ(mean_text(0.6883), "0.6883");
  EXPECT_EQ(mean_text(1), "1.0000");
  EXPECT_EQ(mean_text(0), "0.0000");
  EXPECT_EQ(mean_text(0.001), "0.0010");
  EXPECT_EQ(mean_text(0.00012345), "0.000123");
  EXPECT_EQ(mean_text(5.6673e-09), "5.67e-09");
  EXPECT_EQ(mean_text(-5.6673e-09), "-5.67e-09");
  EXPECT_EQ(mean_text(0.00012345, 6), "0.000123");
  EXPECT_EQ(mean_text(0.0000012345, 6), "1.23e-06");
}

}  // namespace
}  // namespace maskgrad
