// A run of a recipe, for who sits at a terminal.
#pragma once

#include <atomic>
#include <string>

#include <maskgrad/train/run/folder_claim.hpp>

#include "recipes/recipe.hpp"

namespace maskgrad::apps {

/// "batch_size" -> "--batch-size"
std::string flag_name(const std::string& key);

/// "maskgrad train blog --out runs/first --resume", with the program as it was called. With
/// --device cpu where the run's config.toml names a GPU, and there is none here.
std::string command_to_go_on(const Recipe& recipe, const RunPaths& paths);

/// Trains in the claimed folder, reports as the settings say, and writes the report. Throws as
/// TrainingRun.
Trainer::Outcome train_recipe(const Recipe& recipe, const Settings& settings, FolderClaim& claim,
                              const std::atomic<bool>& stop);

}  // namespace maskgrad::apps
