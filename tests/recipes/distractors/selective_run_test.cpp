#include "recipes/distractors/selective_run.hpp"

#include <gmock/gmock.h>

#include "recipes/flags.hpp"

namespace maskgrad::apps {
namespace {

using ::testing::SizeIs;

TEST(SelectiveRun, AdvisesFlagsOfTheRecipe) {
  constexpr SelectiveSizes kSmall = {.length = 30, .features = 8, .layers = 1, .heads = 2};
  SelectiveRun run({.predictor = kSmall, .selector = kSmall, .steps = 20});
  run.observe_end(/*undecided=*/0.25, /*hardening=*/1);
  const std::vector<std::string> warnings = run.warnings();
  EXPECT_THAT(warnings, SizeIs(2));
  for (const std::string& warning : warnings) test::expect_flags(warning, "distractors");
}

}  // namespace
}  // namespace maskgrad::apps
