// Plain text tables.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace maskgrad::apps {

/// Rows of cells as aligned columns, the first row underlined; columns of numbers stand right.
/// `columns` is how many characters a line may have; 0: any number. Where they are too few, cells
/// of text are wrapped between words. Where their longest words are too long for that, each row
/// becomes a paragraph: its first cell, and below it what the other cells hold, by their headings.
std::string format_table(const std::vector<std::vector<std::string>>& rows, int columns = 0);

/// The same, but leaves out the columns of the headings `spare`, the first first, as far as the
/// rest then fits whole, and says below the table which ones. Where that is not enough, all of them
/// are there.
std::string format_table_without(std::span<const std::string_view> spare,
                                 const std::vector<std::vector<std::string>>& rows, int columns);

/// Lines of a name and a value, the values one below another, at column 12 or further right.
std::string format_values(std::span<const std::pair<std::string, std::string>> values);

}  // namespace maskgrad::apps
