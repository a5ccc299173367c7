#include "support/undefined.hpp"

namespace maskgrad::test {

void expect_used_before_a_value(const std::vector<NamedCall>& calls) {
  for (const NamedCall& one : calls) {
    EXPECT_THAT(error_of(one.call), ::testing::HasSubstr("used before it was given a value"))
        << one.name;
  }
}

}  // namespace maskgrad::test
