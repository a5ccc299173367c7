// What a recipe's model makes of one line of text.
#pragma once

#include <string>

#include <maskgrad/train/report/explained_input.hpp>

#include "recipes/recipe.hpp"

namespace maskgrad::apps {

/// Asks the model, and runs it once more over all that it read, unpacked, to see what it attends
/// to. Throws Error as RecipeModel::read().
ExplainedInput explain_input(RecipeModel& model, const std::string& text);

}  // namespace maskgrad::apps
