// The model of the recipe distractors: what answers, its mask, and figures on both.
#pragma once

#include <maskgrad/train/data/distractors.hpp>

#include "recipes/recipe.hpp"

namespace maskgrad::apps {

/// The training data that settings of the recipe ask for.
DistractorData distractor_data(const Settings& settings);

std::unique_ptr<RecipeModel> make_distractors_model(const Settings& settings);

}  // namespace maskgrad::apps
