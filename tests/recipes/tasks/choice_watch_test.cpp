#include "recipes/tasks/choice_watch.hpp"

#include <gmock/gmock.h>

#include "recipes/flags.hpp"
#include "support/tensors.hpp"

namespace maskgrad::apps {
namespace {

using ::testing::SizeIs;

// A gate that gives everything to one expert, and follows another feature than the operator.
TEST(ChoiceWatch, AdvisesFlagsOfTheRecipe) {
  ChoiceWatch watch(3, {"the length"});
  const Choice choice = choice_of(Variable(maskgrad::test::make({1, 0, 0}, {1, 3})));
  for (int step = 0; step < 300; ++step) watch.observe(choice);
  watch.end({.of_others = {{"the length", 1}}});
  const std::vector<std::string> findings = watch.findings();
  EXPECT_THAT(findings, SizeIs(5)) << "two experts without work, and three figures of the end";
  for (const std::string& finding : findings) test::expect_flags(finding, "tasks");
}

}  // namespace
}  // namespace maskgrad::apps
