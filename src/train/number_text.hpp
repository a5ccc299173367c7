// Numbers as text for people.
#pragma once

#include <cmath>
#include <string>

#include <fmt/format.h>

namespace maskgrad {

/// A mean with so many decimals, "0.6883". One of which they would show one digit or none has three
/// significant digits: "0.000123", "5.67e-09". Exactly 0 is "0.0000".
inline std::string mean_text(double mean, int decimals = 4) {
  const bool is_small = mean != 0 && std::abs(mean) < std::pow(10.0, 1 - decimals);
  return is_small ? fmt::format("{:.3g}", mean) : fmt::format("{:.{}f}", mean, decimals);
}

/// "49 %", "0.3 %"; "0 %" and "100 %" only for exactly so much.
inline std::string percent_text(double share) {
  const double percent = 100 * share;
  if (!std::isfinite(percent)) return "nan";
  if (percent == 0 || percent == 100 || (percent >= 10 && percent < 99.5)) {
    return fmt::format("{:.0f} %", percent);
  }
  if (percent > 99) return percent > 99.94 ? "almost 100 %" : fmt::format("{:.1f} %", percent);
  return percent < 0.05 ? "below 0.1 %" : fmt::format("{:.1f} %", percent);
}

}  // namespace maskgrad
