#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <maskgrad/train/report/plot_scale.hpp>

namespace maskgrad {
namespace {

constexpr double kLargest = 1e200;
constexpr double kSmallest = 1e-200;  // what is closer to 0 is drawn as 0

/// `mantissa` (1, 2 or 5) times ten to the `exponent`.
struct Step {
  int mantissa;
  int exponent;

  /// The k-th multiple, rounded once where the power of ten is exact: 3 * 0.1 gives 0.3.
  double multiple(double k) const {
    const double power = std::pow(10.0, std::abs(exponent));
    return exponent < 0 ? k * mantissa / power : k * mantissa * power;
  }
};

Step step_of_at_least(double size) {
  int exponent = static_cast<int>(std::floor(std::log10(size)));
  for (;; ++exponent) {
    for (const int mantissa : {1, 2, 5}) {
      const Step step{mantissa, exponent};
      if (step.multiple(1) >= size * (1 - 1e-9)) return step;  // `size` was rounded
    }
  }
}

PlotRange widened(PlotRange range, TickKind kind) {
  if (range.is_empty) return {0, 1, false};
  const double size = std::max(std::abs(range.low), std::abs(range.high));
  // Closer together than this, multiples of a step are no longer told apart.
  if (size >= kSmallest && range.high - range.low > 1e-12 * size) return range;
  const double margin = kind == TickKind::kWhole ? 1 : size < kSmallest ? 1 : size / 10;
  return {range.low - margin, range.high + margin, false};
}

std::string tick_label(double value, const Step& step, double largest) {
  if (step.exponent >= -4 && largest < 1e6) {
    return fmt::format("{:.{}f}", value, std::max(0, -step.exponent));
  }
  if (value == 0) return "0";
  const int digits = static_cast<int>(std::floor(std::log10(largest))) - step.exponent + 1;
  return fmt::format("{:.{}g}", value, std::clamp(digits, 1, 15));
}

}  // namespace

bool is_drawable(double value) { return std::isfinite(value) && std::abs(value) <= kLargest; }

void PlotRange::add(double value) {
  if (!is_drawable(value)) return;
  low = is_empty ? value : std::min(low, value);
  high = is_empty ? value : std::max(high, value);
  is_empty = false;
}

Ticks make_ticks(PlotRange range, int intervals, TickKind kind) {
  range = widened(range, kind);
  Step step = step_of_at_least((range.high - range.low) / intervals);
  if (kind == TickKind::kWhole && step.exponent < 0) step = {1, 0};
  double k = std::floor(range.low / step.multiple(1));
  while (step.multiple(k + 1) <= range.low) ++k;  // division may have rounded down
  while (step.multiple(k) > range.low) --k;
  Ticks ticks;
  do {
    ticks.values.push_back(step.multiple(k++));
  } while (ticks.values.back() < range.high);
  if (ticks.values.size() == 1) ticks.values.push_back(step.multiple(k));
  const double largest = std::max(std::abs(ticks.low()), std::abs(ticks.high()));
  for (const double value : ticks.values) ticks.labels.push_back(tick_label(value, step, largest));
  return ticks;
}

Ticks make_log_ticks(PlotRange range, int intervals) {
  int first = static_cast<int>(std::floor(std::log10(range.low)));
  int last = static_cast<int>(std::ceil(std::log10(range.high)));
  while (std::pow(10.0, first) > range.low) --first;  // the logarithm may have been rounded
  while (std::pow(10.0, last) < range.high || last == first) ++last;
  const int step = std::max(1, (last - first + intervals - 1) / intervals);
  Ticks ticks;
  for (int exponent = first; exponent < last + step; exponent += step) {
    ticks.values.push_back(std::pow(10.0, exponent));
    ticks.labels.push_back(exponent >= -3 && exponent <= 4
                               ? fmt::format("{:.{}f}", ticks.values.back(), std::max(0, -exponent))
                               : fmt::format("1e{}", exponent));
  }
  return ticks;
}

std::string format_pixels(double value) {
  std::string text = fmt::format("{:.1f}", value);
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text == "-0" ? "0" : text;
}

}  // namespace maskgrad
