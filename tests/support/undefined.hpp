// Calls that get something without a value.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "support/errors.hpp"

namespace maskgrad::test {

struct NamedCall {
  std::string name;
  std::function<void()> call;
};

/// Each of the calls throws Error "[...] ... used before it was given a value ...".
inline void expect_used_before_a_value(const std::vector<NamedCall>& calls) {
  for (const NamedCall& one : calls) {
    EXPECT_THAT(error_of(one.call), ::testing::HasSubstr("used before it was given a value"))
        << one.name;
  }
}

}  // namespace maskgrad::test
