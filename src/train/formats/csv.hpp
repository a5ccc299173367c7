// Comma-separated values (RFC 4180, lines ended by "\n").
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace maskgrad {

/// A cell as it is, or in quotes where it holds a comma, a quote or a line's end.
std::string csv_cell(std::string_view text);

/// Takes the first record off the front of `text`, with its line's end, and returns its cells.
/// Quotes that do not close run to the end of the text.
std::vector<std::string> take_csv_record(std::string_view& text);

}  // namespace maskgrad
