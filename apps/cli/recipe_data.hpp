// The data of a recipe's run.
#pragma once

#include <maskgrad/train/run/run_data.hpp>

#include "recipes/recipe.hpp"

namespace maskgrad::apps {

/// Whether a run of these settings is validated: on the data that `val` names, or else on those
/// that the recipe holds out.
bool validates(const Recipe& recipe, const Settings& settings);

/// Without a folder in the settings, the run makes its own data. All that is passed must outlive
/// the result.
RunData recipe_data(const Recipe& recipe, const Settings& settings, const RunPaths& paths);

}  // namespace maskgrad::apps
