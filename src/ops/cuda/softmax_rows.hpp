// What softmax and its kin do to a row on a device, as cpu/rows/softmax_rows.hpp does it. For `.cu`
// files. Internal to src/ops.
#pragma once

#include <cmath>

#include <maskgrad/ops/cuda/row_threads.hpp>
#include <maskgrad/ops/functors/softmax_rules.hpp>

namespace maskgrad::ops {

/// Which places of a row are kept. Nothing is read at the others, where results are 0.
struct KeptOfRow {
  const bool* bits;  // nullptr: all are

  __device__ bool operator[](std::int64_t j) const { return !bits || bits[j]; }
};

/// The largest of the kept places of a row, and the sum of e^(x - top) over them.
template <class T>
struct ExpRow {
  T top, sum;
};

namespace detail {

// take(j, e^(x[j] - top)) gives the latter back.
template <class Row, class T, class Take>
__device__ ExpRow<T> sum_exp_row(const Row& row, KeptOfRow keep, const T* x, Take take) {
  constexpr T kNothing = -std::numeric_limits<T>::infinity();
  const T top = row_max<T>(row, [=](std::int64_t j) { return keep[j] ? x[j] : kNothing; });
  const functors::ExpBelow<T> exp{top};
  const T sum =
      row_sum<T>(row, [=](std::int64_t j) { return keep[j] ? take(j, exp(x[j])) : T{0}; });
  return {top, sum};
}

}  // namespace detail

template <class Row, class T>
__device__ ExpRow<T> exp_row(const Row& row, KeptOfRow keep, const T* x) {
  return detail::sum_exp_row(row, keep, x, [](std::int64_t, T e) { return e; });
}

/// The same, and y = e^(x - top) at the kept places; the others of y stay as they are.
template <class Row, class T>
__device__ ExpRow<T> exp_row(const Row& row, KeptOfRow keep, const T* x, T* y) {
  return detail::sum_exp_row(row, keep, x, [=](std::int64_t j, T e) { return y[j] = e; });
}

/// Functors of rows: f(row, keep, element that the row begins with) writes a row of f.result.
template <class T>
struct SoftmaxOfRow {
  const T* x;
  T* result;

  template <class Row>
  __device__ void operator()(const Row& row, KeptOfRow keep, std::int64_t at) const {
    const T* const from = x + at;
    T* const y = result + at;
    const ExpRow<T> of_row = exp_row(row, keep, from);
    const functors::ExpBelow<T> exp{of_row.top};
    // Computed again, and not written and read back, which is more traffic with the memory.
    row.for_each([=](std::int64_t j) { y[j] = keep[j] ? exp(from[j]) / of_row.sum : T{0}; });
  }
};

template <class T>
struct LogSoftmaxOfRow {
  const T* x;
  T* result;

  template <class Row>
  __device__ void operator()(const Row& row, KeptOfRow keep, std::int64_t at) const {
    const T* const from = x + at;
    T* const y = result + at;
    const auto [top, sum] = exp_row(row, keep, from);
    const functors::LogSoftmax<T> rule{top, std::log(sum)};
    row.for_each([=](std::int64_t j) { y[j] = keep[j] ? rule(from[j]) : T{0}; });
  }
};

template <class T>
struct SoftmaxGradientOfRow {
  const T *y, *g;
  T* result;

  template <class Row>
  __device__ void operator()(const Row& row, KeptOfRow keep, std::int64_t at) const {
    const T *const out = y + at, *const grad = g + at;
    T* const dx = result + at;
    const T dot = row_dot<T>(
        row, [=](std::int64_t j) { return keep[j] ? grad[j] : T{0}; },
        [=](std::int64_t j) { return out[j]; });
    const functors::GradientOfSoftmax<T> rule{dot};
    row.for_each([=](std::int64_t j) { dx[j] = keep[j] ? rule(out[j], grad[j]) : T{0}; });
  }
};

template <class T>
struct LogSoftmaxGradientOfRow {
  const T *y, *g;
  T* result;

  template <class Row>
  __device__ void operator()(const Row& row, KeptOfRow keep, std::int64_t at) const {
    const T *const out = y + at, *const grad = g + at;
    T* const dx = result + at;
    const T sum = row_sum<T>(row, [=](std::int64_t j) { return keep[j] ? grad[j] : T{0}; });
    const functors::GradientOfLogSoftmax<T> rule{sum};
    row.for_each([=](std::int64_t j) { dx[j] = keep[j] ? rule(out[j], grad[j]) : T{0}; });
  }
};

}  // namespace maskgrad::ops
