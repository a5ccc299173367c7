// What an examination of a model came to, for people and for programs.
#pragma once

#include <filesystem>

#include "recipes/recipe.hpp"

namespace maskgrad::apps {

/// Prints its tables and the mistakes, with a blank line before each.
void print_examination(const Examination& examination);

/// Writes a JSON object: `count`, the shares by name and `choices`, a list of rows; and `warnings`,
/// a list of lines. Without an examination only these are there, and without warnings no list.
void write_results(const std::optional<Examination>& examination,
                   const std::vector<std::string>& warnings, const std::filesystem::path& path);

}  // namespace maskgrad::apps
