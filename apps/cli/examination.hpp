// What an examination of a model came to, for people and for programs.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "recipes/recipe.hpp"

namespace maskgrad::apps {

/// What a model came to: its figures, where its recipe examines it, and what went wrong.
struct Results {
  std::optional<Examination> examination;
  std::vector<std::string> warnings;

  bool empty() const { return !examination && warnings.empty(); }
};

/// Prints tables and mistakes, with a blank line before each, and warns of what went wrong with
/// this recipe.
void print_results(const Results& results, const std::string& recipe);

/// Adds to a JSON object: `count`, the shares by name and `choices`, a list of rows; and
/// `warnings`, a list of lines. Without an examination only these are added, and without warnings
/// no list.
void add_results(nlohmann::ordered_json& json, const Results& results);

/// Writes a JSON object: `step`, how many steps the model was trained for, and what add_results()
/// adds.
void write_results(const Results& results, std::int64_t step, const std::filesystem::path& path);

}  // namespace maskgrad::apps
