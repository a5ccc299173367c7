// Plain text tables.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace maskgrad::apps {

/// Rows of cells as aligned columns, the first row underlined; columns of numbers stand right.
std::string format_table(const std::vector<std::vector<std::string>>& rows);

/// 49145 -> "49,145".
std::string with_commas(std::int64_t number);

}  // namespace maskgrad::apps
