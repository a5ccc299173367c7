// What normalisation does to the elements of a row, computed in double. Internal to src/ops.
#pragma once

#include <maskgrad/ops/functors/element.hpp>
#include <maskgrad/ops/functors/product.hpp>
#include <maskgrad/ops/functors/rule.hpp>

namespace maskgrad::ops::functors {

/// (x - mean) rstd
struct Normalise {
  double mean, rstd;
  template <class T>
  MASKGRAD_RULE T operator()(T x) const {
    return static_cast<T>((static_cast<double>(x) - mean) * rstd);
  }
};

/// rstd (wg - mean - xhat slope), wg being weight g, and mean and slope the means of wg and wg xhat
/// over the row.
struct NormGradient {
  double mean, slope, rstd;
  template <class T>
  MASKGRAD_RULE T operator()(T wg, T xhat) const {
    const double centered = static_cast<double>(wg) - mean;
    return static_cast<T>(rstd * math::multiply_add(-static_cast<double>(xhat), slope, centered));
  }
};

/// The same where weight and g are not multiplied before: for one double or a vector of them.
template <class V>
struct WeightedNormGradient {
  V minus_mean, minus_slope, rstd;
  MASKGRAD_RULE V operator()(V weight, V g, V xhat) const {
    const V centered = math::multiply_add(weight, g, minus_mean);
    return rstd * math::multiply_add(xhat, minus_slope, centered);
  }
};

}  // namespace maskgrad::ops::functors
