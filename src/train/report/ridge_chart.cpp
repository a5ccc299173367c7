#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include <fmt/format.h>

#include <maskgrad/tensor/error.hpp>
#include <maskgrad/train/report/html.hpp>
#include <maskgrad/train/report/plot_scale.hpp>
#include <maskgrad/train/report/svg_plot.hpp>

namespace maskgrad {
namespace {

constexpr double kWidth = 300;
constexpr double kLeft = 12;
constexpr double kRight = kWidth - 34;
constexpr double kFirstBase = 84;    // the baseline of the ridge at the back
constexpr double kLastBase = 168;    // and of the one in front
constexpr double kRidgeHeight = 52;  // of the fullest bin
constexpr double kLabelHeight = 13;
constexpr std::size_t kMaxRidges = 12;
constexpr std::size_t kBins = 40;

bool has_values(const Histogram& histogram) {
  return histogram.num > 0 && std::isfinite(histogram.num) && is_drawable(histogram.min) &&
         is_drawable(histogram.max) && histogram.min <= histogram.max;
}

std::vector<const Ridge*> chosen(const std::vector<Ridge>& ridges) {
  const std::size_t count = std::min(ridges.size(), kMaxRidges);
  std::vector<const Ridge*> result;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t at = count == 1 ? 0 : i * (ridges.size() - 1) / (count - 1);
    result.push_back(&ridges[at]);
  }
  return result;
}

PlotRange range_of(const std::vector<const Ridge*>& ridges) {
  PlotRange range;
  for (const Ridge* ridge : ridges) {
    if (!has_values(ridge->histogram)) continue;
    range.add(ridge->histogram.min);
    range.add(ridge->histogram.max);
  }
  return range;
}

std::string tooltip(const RidgeChart& chart, const Ridge& ridge) {
  const Histogram& histogram = ridge.histogram;
  std::string text = escape_html(chart.ridge_label + " " + ridge.label);
  if (!has_values(histogram)) return text + ": no finite values";
  const double mean = histogram.sum / histogram.num;
  const double variance = histogram.sum_squares / histogram.num - mean * mean;
  const char* separator = ": ";
  // Sums may overflow where the values do not.
  const auto add = [&](const char* name, double value) {
    if (!std::isfinite(value)) return;
    text += fmt::format("{}{} {:.4g}", std::exchange(separator, ", "), name, value);
  };
  add("min", histogram.min);
  add("mean", mean);
  add("max", histogram.max);
  add("std", std::sqrt(std::max(variance, 0.0)));
  return text;
}

/// The outline of a ridge over its baseline; bins that only go on flat are left out. A bin of
/// `fullest` values reaches the full height.
std::string outline(const std::vector<double>& bins, double base, double fullest) {
  const double width = (kRight - kLeft) / static_cast<double>(kBins);
  // Divided first: neither the smallest count nor the largest overflows.
  const auto height_of = [&](double count) {
    return fullest > 0 ? count / fullest * kRidgeHeight : 0.0;
  };
  std::string path = fmt::format("M{},{}", format_pixels(kLeft), format_pixels(base));
  for (std::size_t i = 0; i < bins.size(); ++i) {
    const bool is_flat =
        i > 0 && i + 1 < bins.size() && bins[i] == bins[i - 1] && bins[i] == bins[i + 1];
    if (is_flat) continue;
    path += fmt::format("L{},{}", format_pixels(kLeft + (static_cast<double>(i) + 0.5) * width),
                        format_pixels(base - height_of(bins[i])));
  }
  return path + fmt::format("L{},{}z", format_pixels(kRight), format_pixels(base));
}

std::string draw_ridges(const RidgeChart& chart, const std::vector<const Ridge*>& ridges,
                        const PlotScale& scale) {
  std::vector<std::vector<double>> bins;
  double fullest = 0;
  for (const Ridge* ridge : ridges) {
    bins.push_back(rebin(ridge->histogram, scale.low, scale.high, kBins));
    fullest = std::max(fullest, *std::max_element(bins.back().begin(), bins.back().end()));
  }
  const double last = static_cast<double>(std::max<std::size_t>(ridges.size(), 2) - 1);
  const double offset = (kLastBase - kFirstBase) / last;
  const auto label_stride = static_cast<std::size_t>(std::ceil(kLabelHeight / offset));
  std::string out;
  for (std::size_t i = 0; i < ridges.size(); ++i) {
    const std::size_t from_front = ridges.size() - 1 - i;
    const double base = kLastBase - static_cast<double>(from_front) * offset;
    out += fmt::format(R"(<path class="grid" d="M{},{}H{}"/>)", format_pixels(kLeft),
                       format_pixels(base), format_pixels(kRight));
    out += fmt::format(R"(<path class="ridge" style="--t:{}%" d="{}"><title>{}</title></path>)",
                       100 - static_cast<int>(65.0 * static_cast<double>(from_front) / last),
                       outline(bins[i], base, fullest), tooltip(chart, *ridges[i]));
    if (from_front % label_stride == 0) {
      out += fmt::format(R"(<text class="tick" x="{}" y="{}">{}</text>)", format_pixels(kRight + 4),
                         format_pixels(base + 3), escape_html(shorten(ridges[i]->label, 6)));
    }
    out += '\n';
  }
  return out;
}

std::string draw_axis(const Ticks& ticks, const PlotScale& scale) {
  std::string out;
  for (std::size_t i = 0; i < ticks.values.size(); ++i) {
    if (ticks.values[i] < scale.low || ticks.values[i] > scale.high) continue;
    const std::string x = format_pixels(scale(ticks.values[i]));
    out += fmt::format(R"(<path class="grid" d="M{0},{1}V{2}"/>)", x, format_pixels(34),
                       format_pixels(kLastBase + 5));
    out += fmt::format(R"(<text class="tick mid" x="{}" y="{}">{}</text>)", x,
                       format_pixels(kLastBase + 18), ticks.labels[i]);
  }
  return out + "\n";
}

/// Adds `count`, spread evenly over [left, right], to the bins of [low, low + bins * width].
void spread(std::vector<double>& bins, double count, double left, double right, double low,
            double width) {
  const auto last = static_cast<double>(bins.size() - 1);
  const auto bin_of = [&](double value) {
    return static_cast<std::size_t>(std::clamp(std::floor((value - low) / width), 0.0, last));
  };
  const std::size_t begin = bin_of(left), end = bin_of(right);
  if (begin == end || !(right > left)) {
    bins[begin] += count;
    return;
  }
  for (std::size_t i = begin; i <= end; ++i) {
    const double from = i == begin ? left : low + static_cast<double>(i) * width;
    const double to = i == end ? right : low + static_cast<double>(i + 1) * width;
    bins[i] += count * std::clamp((to - from) / (right - left), 0.0, 1.0);
  }
}

}  // namespace

std::vector<double> rebin(const Histogram& histogram, double low, double high, std::size_t bins) {
  check(bins > 0, "rebin", "needs at least one bin");
  std::vector<double> result(bins, 0.0);
  if (!has_values(histogram)) return result;
  const double width = (high - low) / static_cast<double>(bins);
  const std::size_t buckets = std::min(histogram.bucket.size(), histogram.bucket_limit.size());
  double edge = histogram.min;
  for (std::size_t i = 0; i < buckets; ++i) {
    const double left = edge;
    const double limit = histogram.bucket_limit[i];
    if (!std::isnan(limit)) edge = std::clamp(limit, histogram.min, histogram.max);
    const double count = histogram.bucket[i];
    if (is_drawable(count) && count > 0) spread(result, count, left, edge, low, width);
  }
  return result;
}

std::string draw(const RidgeChart& chart) {
  const std::vector<const Ridge*> ridges = chosen(chart.ridges);
  const PlotRange range = range_of(ridges);
  const Ticks ticks = make_ticks(range, 5);
  // The data's own range fills the little room; only a single value needs that of the ticks.
  const bool is_wide = range.high - range.low > (ticks.high() - ticks.low()) / 1e6;
  const PlotScale scale{is_wide ? range.low : ticks.low(), is_wide ? range.high : ticks.high(),
                        kLeft, kRight};
  std::string out = fmt::format(
      "<svg class=\"plot ridges s{}\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n"
      "<text class=\"name\" x=\"4\" y=\"15\">{}</text>"
      "<text class=\"tick end\" x=\"{}\" y=\"15\">{}</text>\n",
      chart.color % kPlotColors, kWidth, format_pixels(kLastBase + 26), escape_html(chart.title),
      escape_html(shorten(chart.title, 32)), format_pixels(kWidth - 4),
      escape_html(shorten(chart.ridge_label, 12)));
  if (range.is_empty) {
    return out +
           fmt::format(R"(<text class="tick mid" x="{}" y="{}">no finite values</text></svg>)",
                       format_pixels((kLeft + kRight) / 2), format_pixels(kLastBase - 40));
  }
  return out + draw_axis(ticks, scale) + draw_ridges(chart, ridges, scale) + "</svg>\n";
}

}  // namespace maskgrad
