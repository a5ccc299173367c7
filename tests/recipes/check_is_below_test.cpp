#include "recipes/check_is_below.hpp"

#include <limits>

#include <gmock/gmock.h>

#include "support/errors.hpp"

namespace maskgrad::apps {
namespace {

using test::error_of;

constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();

TEST(CheckIsBelow, RefusesEachNumberThatIsNotSmallerInSize) {
  for (const std::int64_t value : {std::int64_t{-9}, std::int64_t{0}, std::int64_t{9}}) {
    EXPECT_EQ(error_of([&] { check_is_below({.x = value, .y = -value}, 10, "who"); }), "no error");
  }
  EXPECT_EQ(error_of([] { check_is_below({.x = -10}, 10, "who"); }),
            "[who] x is -10: the model was trained on numbers from -9 to 9 (train one with "
            "--max-val 11)");
  EXPECT_EQ(error_of([] { check_is_below({.y = 10}, 10, "who", /*is_setting=*/false); }),
            "[who] y is 10: the model was trained on numbers from -9 to 9");
  // No model can be trained on these.
  for (const std::int64_t value :
       {kLeast, kLeast + 1, kMostMaxVal, std::numeric_limits<std::int64_t>::max()}) {
    EXPECT_EQ(error_of([&] { check_is_below({.y = value}, 10, "who"); }),
              fmt::format("[who] y is {}: the model was trained on numbers from -9 to 9", value));
  }
}

}  // namespace
}  // namespace maskgrad::apps
