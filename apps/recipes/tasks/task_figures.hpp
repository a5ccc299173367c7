// What a network for tasks comes to on problems that it was not trained on.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <maskgrad/layers/task_gate/choice_counts.hpp>
#include <maskgrad/train/data/operator_tasks.hpp>

#include "recipes/tasks/choice_watch.hpp"
#include "recipes/tasks/task_network.hpp"

namespace maskgrad::apps {

/// Features of a problem that a choice may follow instead of the operator: "the left sign", "the
/// right sign", "whether signs are alike", "the length".
std::vector<std::string> other_features();

struct TaskFigures {
  Metric accuracy{"accuracy"};
  ChoiceCounts counts;   // operators and experts
  ChoiceFigures choice;  // all 0 where nothing is chosen
};

/// Figures over all samples. `on_progress`, if given, hears how many are done.
TaskFigures figures_of(TaskNetwork& network, const OperatorTasks& data,
                       const std::function<void(std::int64_t done, std::int64_t all)>& on_progress);

/// The counts as shares: a row for each operator, a column for each expert, and a heading. "-"
/// stands where no problem had the operator.
std::vector<std::vector<std::string>> choice_table(const ChoiceCounts& counts);

}  // namespace maskgrad::apps
