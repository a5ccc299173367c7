// What layer_norm does to rows, and its gradients. Internal to src/ops.
#pragma once

#include <cmath>

#include <maskgrad/ops/cpu/rows/wide_rows.hpp>
#include <maskgrad/ops/functors/norm_rules.hpp>

namespace maskgrad::ops {

/// The mean of a row, and 1 / sqrt(variance + eps).
struct RowStatistics {
  double mean, rstd;
};

/// How many of the n elements of a row count, at least 1.
inline double count_kept(const bool* keep, std::int64_t n) {
  const std::int64_t count = keep ? std::count(keep, keep + n, true) : n;
  return static_cast<double>(std::max<std::int64_t>(1, count));
}

template <class T>
RowStatistics statistics_of(const T* x, const bool* keep, std::int64_t n, double eps) {
  const double count = count_kept(keep, n);
  const auto add = [x](std::int64_t j, const auto& which, auto& sums)
                       MASKGRAD_INLINE { sums[0] = sums[0] + which.load(x + j); };
  const double mean = sum_wide<1>(n, keep, add)[0] / count;
  const auto add_square = [x, mean](std::int64_t j, const auto& which, auto& sums) MASKGRAD_INLINE {
    const Wide centered = which.only(which.load(x + j) - Wide(mean));
    sums[0] = ops::multiply_add(centered, centered, sums[0]);
  };
  const double variance = sum_wide<1>(n, keep, add_square)[0] / count;
  return {mean, 1.0 / std::sqrt(variance + eps)};
}

/// xhat = (x - mean) rstd, 0 at elements that do not count.
template <class T>
void normalise_row(const T* x, const bool* keep, std::int64_t n, const RowStatistics& of_row,
                   T* xhat) {
  const Wide mean(of_row.mean),
      rstd(of_row.rstd);  // here, or each store would make them read again
  for_each_wide(n, keep, [=](std::int64_t j, const auto& which) MASKGRAD_INLINE {
    which.store((which.load(x + j) - mean) * rstd, xhat + j);
  });
}

/// y = xhat weight + bias, 0 at elements that do not count; xhat and y may be the same row.
template <class T>
void scale_and_shift_row(const T* xhat, const T* weight, const T* bias, const bool* keep,
                         std::int64_t n, T* y) {
  const auto rule = [](const Vec<T>& x, const Vec<T>& w, const Vec<T>& b)
                        MASKGRAD_INLINE { return multiply_add(x, w, b); };
  if (!keep) return map_vectors(n, y, rule, xhat, weight, bias);
  map_vectors(
      n, y,
      [&](const Vec<T>& x, const Vec<T>& w, const Vec<T>& b, const auto& kept)
          MASKGRAD_INLINE { return xsimd::select(kept, rule(x, w, b), Vec<T>(T{})); },
      xhat, weight, bias, keep);
}

/// dx = rstd (w g - mean(w g) - xhat mean(w g xhat)) over the elements that count, 0 at the others.
/// dx may be the row that holds xhat.
template <class T>
void norm_gradient_row(const T* g, const T* xhat, const T* weight, const bool* keep, double rstd,
                       T* dx, std::int64_t n) {
  const auto add = [=](std::int64_t j, const auto& which, auto& sums) MASKGRAD_INLINE {
    const Wide wg = math::product(which.load(weight + j), which.load(g + j));
    sums[0] = sums[0] + wg;
    sums[1] = multiply_add(wg, which.load(xhat + j), sums[1]);
  };
  const auto [sum, dot] = sum_wide<2>(n, keep, add);
  const double count = count_kept(keep, n);
  const functors::WeightedNormGradient<Wide> rule{Wide(-sum / count), Wide(-dot / count),
                                                  Wide(rstd)};
  for_each_wide(n, keep, [=](std::int64_t j, const auto& which) MASKGRAD_INLINE {
    which.store(rule(which.load(weight + j), which.load(g + j), which.load(xhat + j)), dx + j);
  });
}

/// dweight += g xhat and dbias += g at the elements that count; nullptr where nobody asks.
template <class T>
void add_parameter_gradients(const T* g, const T* xhat, const bool* keep, std::int64_t n,
                             T* dweight, T* dbias) {
  const auto kept = [](const Vec<T>& x, const auto& bits)
                        MASKGRAD_INLINE { return xsimd::select(bits, x, Vec<T>(T{})); };
  const auto product = [](const Vec<T>& a, const Vec<T>& x, const Vec<T>& sum)
                           MASKGRAD_INLINE { return multiply_add(a, x, sum); };
  if (!keep) {
    if (dweight) map_vectors(n, dweight, product, g, xhat, dweight);
    if (dbias) add_row(g, dbias, n);
    return;
  }
  const auto kept_product =
      [&](const Vec<T>& a, const Vec<T>& x, const Vec<T>& sum, const auto& bits)
          MASKGRAD_INLINE { return product(kept(a, bits), x, sum); };
  const auto kept_sum = [&](const Vec<T>& a, const Vec<T>& sum, const auto& bits)
                            MASKGRAD_INLINE { return kept(a, bits) + sum; };
  if (dweight) map_vectors(n, dweight, kept_product, g, xhat, dweight, keep);
  if (dbias) map_vectors(n, dbias, kept_sum, g, dbias, keep);
}

}  // namespace maskgrad::ops
