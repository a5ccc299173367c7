// The model of the recipe tasks.
#pragma once

#include <memory>

#include <maskgrad/train/data/operator_tasks.hpp>

#include "recipes/recipe.hpp"

namespace maskgrad::apps {

OperatorTaskData operator_task_data(const Settings& settings);
std::unique_ptr<RecipeModel> make_tasks_model(const Settings& settings);

}  // namespace maskgrad::apps
