// The experiment of the article "Unified Adaptable Masking That Follows".
#pragma once

#include "recipes/recipe.hpp"

namespace maskgrad::apps {

/// Reads `x=-12,y=24:y-x`, predicts the first character of the answer. 49,145 parameters: Masking,
/// Embed 20x15, Reflect, Reshape, Dense 150 relu, Dense 20; cross-entropy, Adam, batches of 2.
std::unique_ptr<Recipe> make_blog_recipe();

}  // namespace maskgrad::apps
