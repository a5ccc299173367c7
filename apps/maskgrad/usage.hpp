// What is wrong with a command line, in words for the person who wrote it; and options of numbers.
#pragma once

#include <charconv>
#include <string>
#include <type_traits>

#include <fmt/format.h>

#include "command.hpp"

namespace maskgrad::apps {

/// The error of a command line that could not be parsed, with the nearest name for an unknown
/// option or subcommand.
UsageError explain(CLI::App& program, const CLI::ParseError& error);

/// An option of a whole number. CLI11's own would take -1 for 18446744073709551615, and the largest
/// number for one that is larger still.
template <class T>
CLI::Option* add_integer(CLI::App& command, const std::string& flag, T& value,
                         const std::string& help) {
  static_assert(std::is_integral_v<T>);
  const auto parse = [flag, &value](const std::string& text) {
    T number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) {
      const char* what = std::is_unsigned_v<T> ? "a whole number from 0 up" : "a whole number";
      throw CLI::ValidationError(fmt::format("{} must be {}, not '{}'", flag, what, text));
    }
    value = number;
  };
  return command.add_option_function<std::string>(flag, parse, help)
      ->type_name("INT")
      ->default_str(fmt::format("{}", value))
      ->take_last();
}

}  // namespace maskgrad::apps
