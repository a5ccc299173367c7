#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <iterator>

#include <maskgrad/train/formats/histogram.hpp>

namespace maskgrad {
namespace {

std::vector<double> make_edges() {
  std::vector<double> positive;
  // Multiplied up rather than by powers: the rounding, and so each edge, is TensorFlow's.
  for (double edge = 1e-12; edge < 1e20; edge *= 1.1) positive.push_back(edge);
  positive.push_back(DBL_MAX);
  std::vector<double> edges;
  std::transform(positive.rbegin(), positive.rend(), std::back_inserter(edges),
                 [](double edge) { return -edge; });
  edges.push_back(0);
  edges.insert(edges.end(), positive.begin(), positive.end());
  return edges;
}

/// Buckets with right edges `edges`, each run of empty ones as one bucket with the last edge.
void set_buckets(Histogram& histogram, const std::vector<double>& edges,
                 const std::vector<double>& counts) {
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const bool next_is_empty = i + 1 < counts.size() && counts[i + 1] == 0;
    if (counts[i] == 0 && next_is_empty) continue;
    histogram.bucket_limit.push_back(edges[i]);
    histogram.bucket.push_back(counts[i]);
  }
}

template <class T>
Histogram histogram_of(std::span<const T> values) {
  static const std::vector<double> edges = make_edges();
  Histogram histogram;
  std::vector<double> counts(edges.size(), 0.0);
  for (const T given : values) {
    const double value = given;
    if (!std::isfinite(value)) continue;
    const auto right = std::upper_bound(edges.begin(), edges.end(), value) - edges.begin();
    // DBL_MAX itself lies right of every edge.
    counts[std::min(static_cast<std::size_t>(right), counts.size() - 1)] += 1;
    histogram.min = histogram.num == 0 ? value : std::min(histogram.min, value);
    histogram.max = histogram.num == 0 ? value : std::max(histogram.max, value);
    histogram.num += 1;
    histogram.sum += value;
    histogram.sum_squares += value * value;
  }
  set_buckets(histogram, edges, counts);
  return histogram;
}

}  // namespace

Histogram make_histogram(std::span<const double> values) { return histogram_of(values); }

Histogram make_histogram(std::span<const float> values) { return histogram_of(values); }

}  // namespace maskgrad
