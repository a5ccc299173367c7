// Results, on standard output; and messages, on standard error.
#pragma once

#include <string_view>
#include <utility>

#include <fmt/core.h>

namespace maskgrad::apps {

/// Throws Error "[stdout] cannot write the results: No space left on device", as do the others.
void write_output(std::string_view text);
/// Hands what was written so far to whoever reads it.
void flush_output();

template <class... Args>
void print(fmt::format_string<Args...> format, Args&&... args) {
  write_output(fmt::format(format, std::forward<Args>(args)...));
}

/// What a person should see meanwhile. Where it cannot be shown, that is no reason to stop.
void write_message(std::string_view text);

}  // namespace maskgrad::apps
