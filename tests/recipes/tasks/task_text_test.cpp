#include "recipes/tasks/task_text.hpp"

#include <gmock/gmock.h>

#include "support/errors.hpp"

namespace maskgrad::apps {
namespace {

using maskgrad::test::error_of;
using ::testing::HasSubstr;

// As they stand in the training data.
TEST(TaskText, LeavesOutSeparatorsAroundAProblem) {
  for (const char* text : {"-3*4", "|-3*4", "|||-3*4", "-3*4|", " | -3 * 4 |"}) {
    const OperatorTasks::Sample sample = task_sample(text, TaskFrom::kOperator);
    EXPECT_EQ(task_prompt(sample.problem), "-3*+4") << text;
    EXPECT_EQ(sample.lead, 0) << text;
  }
  for (const char* text : {"-3,4=-7|5,-2=7|-3,4", "||-3,4=-7|5,-2=7|-3,4|"}) {
    const OperatorTasks::Sample sample = task_sample(text, TaskFrom::kExamples);
    EXPECT_EQ(task_prompt(sample.problem), "-3-+4") << text;
  }
}

TEST(TaskText, RefusesWhatIsNoProblem) {
  for (const char* text : {"", "|", "||", "3", "3+", "+3", "3|+4", "3+4|5"}) {
    EXPECT_THAT(error_of([&] { task_sample(text, TaskFrom::kOperator); }), HasSubstr("[tasks] "))
        << text;
  }
  for (const char* text : {"", "|", "3,4", "3,4=7|3,4", "3,4=7|5,2=7||3,4"}) {
    EXPECT_THAT(error_of([&] { task_sample(text, TaskFrom::kExamples); }), HasSubstr("[tasks] "))
        << text;
  }
}

}  // namespace
}  // namespace maskgrad::apps
