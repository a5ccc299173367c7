// The data of a recipe's run, from the folders that its settings name.
#pragma once

#include <maskgrad/train/run/run_data.hpp>

#include "recipes/recipe.hpp"

namespace maskgrad::apps {

/// Without a folder in the settings, the run makes its own data. All that is passed must outlive
/// the result.
RunData recipe_data(const Recipe& recipe, const Settings& settings, const RunPaths& paths);

}  // namespace maskgrad::apps
