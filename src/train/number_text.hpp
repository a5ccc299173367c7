// Numbers as text for people.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace maskgrad {

/// "1 sample", "2 samples": for words that add an s.
inline std::string count_of(std::int64_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

/// A mean with so many decimals, "0.6883". One of which they would show one digit or none has three
/// significant digits: "0.000123", "5.67e-09". Exactly 0 is "0.0000".
inline std::string mean_text(double mean, int decimals = 4) {
  const bool is_small = mean != 0 && std::abs(mean) < std::pow(10.0, 1 - decimals);
  return is_small ? fmt::format("{:.3g}", mean) : fmt::format("{:.{}f}", mean, decimals);
}

}  // namespace maskgrad
