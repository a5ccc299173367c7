// What an examination of a model came to, for people and for programs.
#pragma once

#include <filesystem>

#include "recipes/recipe.hpp"

namespace maskgrad::apps {

/// Prints its table and the mistakes, with a blank line before each.
void print_examination(const Examination& examination);

/// Writes a JSON object: `count` and the shares by name, and `warnings`, a list of lines. Without
/// an examination there are neither count nor shares, and without warnings no list.
void write_results(const std::optional<Examination>& examination,
                   const std::vector<std::string>& warnings, const std::filesystem::path& path);

}  // namespace maskgrad::apps
