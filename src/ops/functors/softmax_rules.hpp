// What softmax and its kin do to the elements of a row, for one element or a vector of them.
// Internal to src/ops.
#pragma once

#include <cmath>

#include <maskgrad/ops/functors/fast_exp.hpp>
#include <maskgrad/ops/functors/rule.hpp>

namespace maskgrad::ops::functors {

/// The largest of the kept places of a row, and the sum of e^(x - top) over them.
template <class T>
struct ExpRow {
  T top, sum;
};

/// e^(x - top), `top` being the largest element of the row.
template <class T>
struct ExpBelow {
  T top;
  template <class V>
  MASKGRAD_RULE V operator()(V x) const {
    return math::fast_exp(x - V(top));
  }
};

/// e^(x - top) / sum.
template <class T>
struct Softmax {
  MASKGRAD_RULE explicit Softmax(ExpRow<T> row) : exp{row.top}, sum(row.sum) {}

  ExpBelow<T> exp;
  T sum;
  template <class V>
  MASKGRAD_RULE V operator()(V x) const {
    return exp(x) / V(sum);
  }
};

/// x - top - log(sum) in this order, or a large top swallows the logarithm.
template <class T>
struct LogSoftmax {
  MASKGRAD_RULE explicit LogSoftmax(ExpRow<T> row) : top(row.top), log_sum(std::log(row.sum)) {}

  T top, log_sum;
  template <class V>
  MASKGRAD_RULE V operator()(V x) const {
    return (x - V(top)) - V(log_sum);
  }
};

/// y (g - dot), y being softmax(x) and `dot` the sum of g y over the row.
template <class T>
struct GradientOfSoftmax {
  T dot;
  template <class V>
  MASKGRAD_RULE V operator()(V y, V g) const {
    return y * (g - V(dot));
  }
};

/// g - e^y sum, y being log_softmax(x) and `sum` that of g over the row.
template <class T>
struct GradientOfLogSoftmax {
  T sum;
  template <class V>
  MASKGRAD_RULE V operator()(V y, V g) const {
    return math::multiply_add(math::negative(math::fast_exp(y)), V(sum), g);
  }
};

}  // namespace maskgrad::ops::functors
