// Advice that names flags.
#pragma once

#include <algorithm>
#include <regex>
#include <string>

#include <gtest/gtest.h>

#include "recipes/recipe.hpp"

namespace maskgrad::apps::test {

/// What stands behind the `;` of a finding names a flag, and only flags that the recipe has.
inline void expect_flags(const std::string& finding, const std::string& recipe) {
  const Settings settings(find_recipe(recipe)->settings());
  static const std::regex flag("--([a-z-]+)");
  const std::string advice = finding.substr(finding.find("; "));
  const std::sregex_iterator first(advice.begin(), advice.end(), flag), none;
  EXPECT_NE(first, none) << finding;
  for (auto match = first; match != none; ++match) {
    std::string key = (*match)[1];
    std::ranges::replace(key, '-', '_');
    EXPECT_TRUE(settings.has(key)) << finding;
  }
}

}  // namespace maskgrad::apps::test
