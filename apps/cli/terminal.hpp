// The terminal that standard error may lead to.
#pragma once

namespace maskgrad::apps {

/// Whether messages go to a terminal that can move its cursor.
bool has_terminal();
/// Whether colors go there: to such a terminal, unless NO_COLOR is set (https://no-color.org).
bool wants_color();
/// How many characters a line of it has; 80 where that is unknown.
int terminal_columns();

}  // namespace maskgrad::apps
