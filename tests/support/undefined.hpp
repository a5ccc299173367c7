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
void expect_used_before_a_value(const std::vector<NamedCall>& calls);

}  // namespace maskgrad::test
