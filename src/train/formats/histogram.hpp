// Histograms as TensorBoard's old summaries hold them.
#pragma once

#include <span>
#include <vector>

namespace maskgrad {

/// `bucket[i]` counts the values v with bucket_limit[i-1] <= v < bucket_limit[i].
struct Histogram {
  double min = 0;
  double max = 0;
  double num = 0;
  double sum = 0;
  double sum_squares = 0;
  std::vector<double> bucket_limit;
  std::vector<double> bucket;
};

/// TensorFlow's default edges: 1e-12 * 1.1^k below 1e20, mirrored, with 0 and +-DBL_MAX; runs of
/// empty buckets are joined into one. NaN and infinities, which TensorFlow refuses to summarise,
/// are left out of every field, so that a diverging run can still be looked at. With no finite
/// value all fields are 0 and there is one empty bucket. Source:
/// tensorflow/core/lib/histogram/histogram.cc.
Histogram make_histogram(std::span<const double> values);
Histogram make_histogram(std::span<const float> values);

}  // namespace maskgrad
