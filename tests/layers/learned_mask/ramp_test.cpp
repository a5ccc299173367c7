#include <cmath>

#include <gtest/gtest.h>

#include <maskgrad/layers/learned_mask/ramp.hpp>

#include "support/errors.hpp"
#include "support/tensors.hpp"

namespace maskgrad {
namespace {

using test::error_of;

TEST(Ramp, GoesAlongALine) {
  const Ramp ramp = {.first = 1, .last = 0.5, .begin = 10, .end = 20};
  EXPECT_EQ(ramp.at(0), 1);
  EXPECT_EQ(ramp.at(10), 1);
  EXPECT_EQ(ramp.at(15), 0.75);
  EXPECT_EQ(ramp.at(20), 0.5);
  EXPECT_EQ(ramp.at(1'000'000), 0.5);
}

TEST(Ramp, OrByAConstantRatio) {
  const Ramp ramp = {1, 0.25, 0, 4, Ramp::Kind::kGeometric};
  for (int step = 0; step <= 4; ++step) {
    EXPECT_DOUBLE_EQ(ramp.at(step), std::pow(0.5, step / 2.0)) << step;
  }
}

TEST(Ramp, JumpsWhereItHasNoSteps) {
  const Ramp ramp = {.first = 1, .last = 2, .begin = 5, .end = 5};
  EXPECT_EQ(ramp.at(4), 1);
  EXPECT_EQ(ramp.at(5), 2);
  EXPECT_EQ(Ramp::fixed(3).at(0), 3);
  EXPECT_EQ(Ramp::fixed(3).at(9), 3);
}

TEST(Ramp, RefusesNumbersThatFitNoSchedule) {
  EXPECT_EQ(error_of([] { check_ramp("cost", Ramp::fixed(-1), 0); }),
            "[cost] a ramp has numbers of at least 0, not -1");
  EXPECT_EQ(error_of([] { check_ramp("cost", Ramp::fixed(0), 0, true); }),
            "[cost] a ramp has numbers above 0, not 0");
  EXPECT_EQ(error_of([] { check_ramp("cost", Ramp::fixed(test::kNaN), 0); }),
            "[cost] a ramp has numbers of at least 0, not nan");
  EXPECT_EQ(error_of([] {
              check_ramp("cost", {1, 2, 7, 3}, 0);
            }),
            "[cost] a ramp begins at step 0 or later and ends no earlier; got 7 and 3");
  EXPECT_EQ(error_of([] {
              check_ramp("cost", {1, 0, 0, 3, Ramp::Kind::kGeometric}, 0);
            }),
            "[cost] a geometric ramp has numbers above 0; got 1 and 0");
  EXPECT_EQ(error_of([] { check_ramp("cost", {1, 2, 0, 3}, 0); }), "no error");
}

}  // namespace
}  // namespace maskgrad
