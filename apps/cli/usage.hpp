// What is wrong with a command line, in words for the person who wrote it; and options of numbers.
#pragma once

#include <charconv>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <fmt/format.h>

#include <maskgrad/tensor/shortened.hpp>

#include "cli/command.hpp"

namespace maskgrad::apps {

/// The error of a command line that could not be parsed, with the nearest name for an unknown
/// option or subcommand.
UsageError explain(CLI::App& program, const CLI::ParseError& error);

/// What to say behind an unknown name: "; did you mean 'relu'?" where a known one is near, else
/// "; see maskgrad ops", `see` being the subcommand "ops" that tells the known ones.
std::string nearest_or_see(const std::string& name, std::span<const std::string> known,
                           const std::string& see);

/// The whole number that `text` is; what is none, or too large, is an error that names the flag.
/// CLI11's own would take -1 for 18446744073709551615, and the largest number for one that is
/// larger still.
template <class T>
T parse_integer(const std::string& flag, const std::string& text) {
  static_assert(std::is_integral_v<T>);
  T number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    const char* what = std::is_unsigned_v<T> ? "a whole number from 0 up" : "a whole number";
    throw CLI::ValidationError(fmt::format("{} must be {}, not '{}'", flag, what, shortened(text)));
  }
  return number;
}

/// An option of a whole number.
template <class T>
CLI::Option* add_integer(CLI::App& command, const std::string& flag, T& value,
                         const std::string& help) {
  const auto parse = [flag, &value](const std::string& text) {
    value = parse_integer<T>(flag, text);
  };
  return command.add_option_function<std::string>(flag, parse, help)
      ->type_name("INT")
      ->default_str(fmt::format("{}", value))
      ->take_last();
}

/// The number that `text` is; what is none is an error that names the flag.
double parse_number(const std::string& flag, const std::string& text);

/// An option of a number.
CLI::Option* add_number(CLI::App& command, const std::string& flag, double& value,
                        const std::string& help);

/// An option of one or more whole numbers, which replace those in `values`.
template <class T>
CLI::Option* add_integers(CLI::App& command, const std::string& flag, std::vector<T>& values,
                          const std::string& help) {
  const auto parse = [flag, &values](const std::vector<std::string>& texts) {
    values.clear();
    for (const std::string& text : texts) values.push_back(parse_integer<T>(flag, text));
  };
  return command.add_option_function<std::vector<std::string>>(flag, parse, help)
      ->type_name("INT")
      ->default_str(fmt::format("{}", fmt::join(values, " ")));
}

}  // namespace maskgrad::apps
