// A number that changes over the steps of a run.
#pragma once

#include <cstdint>

namespace maskgrad {

/// `last` from step `end` on, before that `first` up to step `begin`, and between them along a
/// line, or with kGeometric along a curve of a constant ratio a step. For temperatures, and for
/// what a mask costs.
struct Ramp {
  enum class Kind : std::uint8_t { kLinear, kGeometric };

  double first = 0, last = 0;
  std::int64_t begin = 0, end = 0;
  Kind kind = Kind::kLinear;

  /// The same number in every step.
  static constexpr Ramp fixed(double value) { return {.first = value, .last = value}; }

  double at(std::int64_t step) const;

  friend bool operator==(const Ramp&, const Ramp&) = default;
};

/// Throws Error "[name] ..." unless both numbers are finite, and above `least` where `is_above`
/// says so, else at least `least`; unless 0 <= begin <= end; and for a geometric ramp of numbers
/// that are not above 0.
void check_ramp(const char* name, const Ramp& ramp, double least, bool is_above = false);

}  // namespace maskgrad
