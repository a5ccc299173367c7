// Round numbers along an axis, and where values lie on it.
#pragma once

#include <cmath>
#include <string>
#include <vector>

namespace maskgrad {

/// True for what an axis can show: finite and at most 1e200 in size.
bool is_drawable(double value);

/// The smallest and largest of some values; empty until a drawable one was added.
struct PlotRange {
  double low = 0;
  double high = 0;
  bool is_empty = true;

  /// Widens the range to `value`, unless that is not drawable.
  void add(double value);
};

/// Ticks at whole multiples of 1, 2 or 5 times a power of ten, with just enough digits.
struct Ticks {
  std::vector<double> values;  // ascending, at least two
  std::vector<std::string> labels;

  double low() const { return values.front(); }
  double high() const { return values.back(); }
};

enum class TickKind { kReal, kWhole };

/// Ticks with low() <= range.low and range.high <= high(), at most `intervals` + 2 of them between
/// the two. A range of one value is widened around it, an empty one becomes 0 to 1. kWhole: at
/// whole numbers only.
Ticks make_ticks(PlotRange range, int intervals, TickKind kind = TickKind::kReal);

/// Ticks at powers of ten, with low() <= range.low and range.high <= high(), at most `intervals` +
/// 2 of them between the two. Requires 0 < range.low <= range.high.
Ticks make_log_ticks(PlotRange range, int intervals);

/// Maps [low, high], low < high, to [from, to] in pixels, from > to for an axis that points up.
/// With `is_log` equal factors are equal lengths, and low must be above 0.
struct PlotScale {
  double low = 0;
  double high = 1;
  double from = 0;
  double to = 1;
  bool is_log = false;

  double operator()(double value) const {
    const double share =
        is_log ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
    return from + share * (to - from);
  }
};

/// A coordinate with at most one decimal: "12", "12.5". Never "-0".
std::string format_pixels(double value);

}  // namespace maskgrad
