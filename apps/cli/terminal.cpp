#include "cli/terminal.hpp"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <string>
#include <string_view>

#include <sys/ioctl.h>
#include <unistd.h>

namespace maskgrad::apps {
namespace {

// Of the terminal that a stream leads to; 0 where that is unknown, or there is none.
int columns_of(int stream) {
  struct winsize size {};
  return ::ioctl(stream, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

// Whether a stream leads to a terminal that can move its cursor.
bool moves_cursor(int stream) {
  const char* kind = std::getenv("TERM");
  return isatty(stream) == 1 && kind && std::string_view(kind) != "dumb";
}

bool may_color() {
  const char* no_color = std::getenv("NO_COLOR");
  return !no_color || !*no_color;
}

}  // namespace

bool has_terminal() { return moves_cursor(STDERR_FILENO); }
bool wants_color() { return has_terminal() && may_color(); }
bool output_wants_color() { return moves_cursor(STDOUT_FILENO) && may_color(); }

int terminal_columns() {
  const int columns = columns_of(STDERR_FILENO);
  return columns > 0 ? columns : 80;
}

int message_columns() { return columns_of(STDERR_FILENO); }
int output_columns() { return columns_of(STDOUT_FILENO); }

bool draws_unicode() {
  for (const char* variable : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(variable);
    if (!value || !*value) continue;
    std::string name = value;
    std::erase(name, '-');
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
    return name.find("utf8") != std::string::npos;
  }
  return false;
}

}  // namespace maskgrad::apps
