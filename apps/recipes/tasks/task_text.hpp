// Problems for a network of tasks, as people type them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <maskgrad/train/data/operator_tasks.hpp>

namespace maskgrad::apps {

/// "-3*4"; or where examples tell the task "-3,4=-7|5,-2=7|-3,4". Separators in front and behind
/// say nothing, as in the training data. Throws Error for any other text, for numbers that are not
/// -9 to 9 or are 0, and for examples that no operator gives, or several do.
OperatorTasks::Sample task_sample(std::string_view text, TaskFrom from);

/// One that can be read so, with an operator or with examples.
std::string example_of_task(TaskFrom from);

/// The tokens of a batch of one, each as text.
std::vector<std::string> task_labels(const Batch& batch);

}  // namespace maskgrad::apps
