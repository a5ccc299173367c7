// What an examination of a model came to, for people and for programs.
#pragma once

#include <filesystem>

#include "recipes/recipe.hpp"

namespace maskgrad::apps {

/// Prints its table and the mistakes, with a blank line before each.
void print_examination(const Examination& examination);

/// Writes `count` and the shares by name as a JSON object.
void write_results(const Examination& examination, const std::filesystem::path& path);

}  // namespace maskgrad::apps
