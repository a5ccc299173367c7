// Plain text tables.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace maskgrad::apps {

/// Rows of cells as aligned columns, the first row underlined; columns of numbers stand right.
std::string format_table(const std::vector<std::vector<std::string>>& rows);

/// Lines of a name and a value, the values one below another, at column 12 or further right.
std::string format_values(std::span<const std::pair<std::string, std::string>> values);

/// 49145 -> "49,145".
std::string with_commas(std::int64_t number);

}  // namespace maskgrad::apps
