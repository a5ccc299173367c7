// What softmax and its kin do to a row on a device, as cpu/rows/softmax_rows.hpp does it. For `.cu`
// files. Internal to src/ops.
#pragma once

#include <maskgrad/ops/cuda/row_threads.hpp>
#include <maskgrad/ops/functors/softmax_rules.hpp>

namespace maskgrad::ops {

/// Which places of a row are kept. Nothing is read at the others, where results are 0.
struct KeptOfRow {
  const bool* bits;  // nullptr: all are

  __device__ bool operator[](std::int64_t j) const { return !bits || bits[j]; }
};

namespace detail {

// take(j, e^(x[j] - top)) gives the latter back.
template <class Row, class T, class Take>
__device__ functors::ExpRow<T> sum_exp_row(const Row& row, KeptOfRow keep, const T* x, Take take) {
  constexpr T kNothing = -std::numeric_limits<T>::infinity();
  const T top = row_max<T>(row, [=](std::int64_t j) { return keep[j] ? x[j] : kNothing; });
  const functors::ExpBelow<T> exp{top};
  const T sum =
      row_sum<T>(row, [=](std::int64_t j) { return keep[j] ? take(j, exp(x[j])) : T{0}; });
  return {top, sum};
}

}  // namespace detail

template <class Row, class T>
__device__ functors::ExpRow<T> exp_row(const Row& row, KeptOfRow keep, const T* x) {
  return detail::sum_exp_row(row, keep, x, [](std::int64_t, T e) { return e; });
}

/// The same, and y = e^(x - top) at the kept places; the others of y stay as they are.
template <class Row, class T>
__device__ functors::ExpRow<T> exp_row(const Row& row, KeptOfRow keep, const T* x, T* y) {
  return detail::sum_exp_row(row, keep, x, [=](std::int64_t j, T e) { return y[j] = e; });
}

/// y = Rule(e^(x - top), their sum) of a row. Functors of rows are called as f(row, keep, element
/// that the row begins with).
template <class T, template <class> class Rule>
struct RuleOfRow {
  const T* x;
  T* y;

  template <class Row>
  __device__ void operator()(const Row& row, KeptOfRow keep, std::int64_t at) const {
    const T* const from = x + at;
    T* const to = y + at;
    // To compute e^(x - top) again costs less than to write it and read it back.
    const Rule<T> rule(exp_row(row, keep, from));
    row.for_each([=](std::int64_t j) { to[j] = keep[j] ? rule(from[j]) : T{0}; });
  }
};
template <class T>
using SoftmaxOfRow = RuleOfRow<T, functors::Softmax>;
template <class T>
using LogSoftmaxOfRow = RuleOfRow<T, functors::LogSoftmax>;

/// What a rule of a gradient sums over the kept places of a row: of y and of g.
struct SumOfProducts {
  template <class Row, class T>
  __device__ static T of(const Row& row, KeptOfRow keep, const T* y, const T* g) {
    return row_dot<T>(
        row, [=](std::int64_t j) { return keep[j] ? g[j] : T{0}; },
        [=](std::int64_t j) { return y[j]; });
  }
};
struct SumOfGradients {
  template <class Row, class T>
  __device__ static T of(const Row& row, KeptOfRow keep, const T*, const T* g) {
    return row_sum<T>(row, [=](std::int64_t j) { return keep[j] ? g[j] : T{0}; });
  }
};

template <class T, template <class> class Rule, class Sum>
struct GradientOfRow {
  const T *y, *g;
  T* dx;

  template <class Row>
  __device__ void operator()(const Row& row, KeptOfRow keep, std::int64_t at) const {
    const T *const out = y + at, *const grad = g + at;
    T* const to = dx + at;
    const Rule<T> rule{Sum::of(row, keep, out, grad)};
    row.for_each([=](std::int64_t j) { to[j] = keep[j] ? rule(out[j], grad[j]) : T{0}; });
  }
};
template <class T>
using SoftmaxGradientOfRow = GradientOfRow<T, functors::GradientOfSoftmax, SumOfProducts>;
template <class T>
using LogSoftmaxGradientOfRow = GradientOfRow<T, functors::GradientOfLogSoftmax, SumOfGradients>;

}  // namespace maskgrad::ops
