// The terminals that results and messages may lead to.
#pragma once

namespace maskgrad::apps {

/// Whether messages go to a terminal that can move its cursor.
bool has_terminal();
/// Whether colors go there: to such a terminal, unless NO_COLOR is set (https://no-color.org).
bool wants_color();
/// How many characters a line of it has; 80 where that is unknown.
int terminal_columns();
/// How many characters a line of messages may have: those of the terminal, 0 (any number) where
/// messages go to no terminal.
int message_columns();
/// The same for results, on standard output. A file or a program gets lines of any length.
int output_columns();
/// Whether colors go to standard output, as wants_color().
bool output_wants_color();

/// Whether other characters than those of ASCII may be drawn: the locale (LC_ALL, else LC_CTYPE,
/// else LANG) is one of UTF-8. What comes from files and users stays as it is in any locale.
bool draws_unicode();

}  // namespace maskgrad::apps
