// Results, on standard output; and messages, on standard error.
#pragma once

#include <string>
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

/// What a person should see meanwhile. Where it cannot be shown, that is no reason to stop; why it
/// could not is kept for lost_messages().
void write_message(std::string_view text);
/// write_message of "maskgrad: <text>", made fit for one line.
void warn(const std::string& text);
/// Why messages were lost, or an empty text.
std::string lost_messages();

/// The last words of a program that fails: results so far, then "maskgrad: <name>: <text>" on one
/// line. Never throws, whatever the system refuses.
void report_failure(std::string_view name, std::string_view text) noexcept;

}  // namespace maskgrad::apps
