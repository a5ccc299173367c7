// The one error type of the library, and the one way to raise it.
#pragma once

#include <stdexcept>
#include <string>

#include <fmt/core.h>

namespace maskgrad {

/// Everything the library refuses. The text is one line: "[name] rule: actual values".
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Throws Error("[name] text"), the text formatted as by fmt::format.
template <class... Args>
[[noreturn]] void fail(const char* name, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format("[{}] {}", name, fmt::format(format, std::forward<Args>(args)...)));
}

/// fail(...) unless `condition` holds. Arguments are formatted only when it does not.
template <class... Args>
void check(bool condition, const char* name, fmt::format_string<Args...> format, Args&&... args) {
  if (!condition) [[unlikely]]
    fail(name, format, std::forward<Args>(args)...);
}

}  // namespace maskgrad
