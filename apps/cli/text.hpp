// Text from files and users, made fit for one line of a terminal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace maskgrad::apps {

/// `text` with every control character, and every byte that is not UTF-8, written as \n, \t or
/// \x1b: whatever a file calls itself, an error stays one line and a terminal stays as it was.
std::string one_line(std::string_view text);

/// A name from a file for a cell of a table: as it is where it is plain, else in quotes, escaped,
/// and cut after about 60 bytes.
std::string plain_or_quoted(std::string_view name);

/// `text` as one word for a POSIX shell: as it is where that needs no quotes, else in some.
std::string shell_word(std::string_view text);

/// How many characters well-formed UTF-8 has.
std::size_t count_characters(std::string_view text);
/// The first `count` characters of well-formed UTF-8.
std::string_view first_characters(std::string_view text, std::size_t count);

/// `text` in lines of at most `width` characters, cut at spaces, and within a word that is longer
/// than a line. One empty line for an empty text.
std::vector<std::string> wrapped(std::string_view text, std::size_t width);

/// A page of help with no line of more than `columns` characters; 0: as it is. What goes on in the
/// next line stands below the description that it belongs to. A line that shows a command stays
/// whole, so that it can be copied.
std::string fit_page(std::string_view page, int columns);

}  // namespace maskgrad::apps
