// What normalisation does to the elements of a row, computed in double. Internal to src/ops.
#pragma once

#include <maskgrad/ops/functors/element.hpp>
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

}  // namespace maskgrad::ops::functors
