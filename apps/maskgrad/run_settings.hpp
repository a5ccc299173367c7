// Settings of a run, in memory and in its files.
#pragma once

#include <filesystem>

#include "recipes/recipe.hpp"

namespace maskgrad::apps {

/// The folder that the settings name, or runs/<recipe>.
std::filesystem::path run_folder(const Recipe& recipe, const Settings& settings);

/// With each path as the run's files hold it: relative to the run's folder where it leads into it,
/// else absolute. So a run works from anywhere, and its folder can be moved.
Settings as_stored(const Settings& settings, const std::filesystem::path& run);
/// The inverse: with each path as this process can open it.
Settings as_used(const Settings& settings, const std::filesystem::path& run);

/// Those that shape the results; the others, and where the data are, as the recipe has them. Equal
/// runs have equal ones.
Settings of_results(const Recipe& recipe, const Settings& settings);

}  // namespace maskgrad::apps
