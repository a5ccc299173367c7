#include "recipes/tasks/task_figures.hpp"

#include <gmock/gmock.h>

namespace maskgrad::apps {
namespace {

using ::testing::ElementsAre;

TEST(ChoiceTable, SaysNothingOfAnOperatorThatNobodyAsked) {
  ChoiceCounts counts(3, 3);
  for (const std::size_t expert : {0u, 1u, 1u, 1u}) counts.add(1, expert);
  const auto table = choice_table(counts);
  ASSERT_EQ(table.size(), 4u);
  EXPECT_THAT(table[1], ElementsAre("+", "-", "-", "-"));
  EXPECT_THAT(table[2], ElementsAre("-", "25.0 %", "75.0 %", "0.0 %"));
}

}  // namespace
}  // namespace maskgrad::apps
