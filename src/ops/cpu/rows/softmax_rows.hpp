// What softmax and its kin do to the rows of a tensor. Internal to src/ops.
#pragma once

#include <maskgrad/ops/cpu/rows/row_kernels.hpp>
#include <maskgrad/tensor/autograd/op_def.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/tensor/cuda/kernel_slot.hpp>

namespace maskgrad::ops {

struct Rows {
  std::int64_t count, length;
};

inline Rows rows_of(const OpDef& op, const Tensor& x) {
  check(x.rank() >= 1, op.name.c_str(), "needs at least one dimension");
  const std::int64_t length = x.dim(-1);
  return {length ? x.numel() / length : 0, length};
}

// Copies the kept places, and writes `fill` at the others; without bits everything is kept.
template <class T>
void select_row(const T* x, const bool* keep, T fill, T* y, std::int64_t n) {
  if (!keep) {
    if (x != y) copy_row(x, y, n);
    return;
  }
  for (std::int64_t j = 0; j < n; ++j) y[j] = keep[j] ? x[j] : fill;
}

// y = exp(x - top) over the kept places of x, the largest of them and the sum; 0 or NaN elsewhere.
// x and y may be the same row.
template <class T>
functors::ExpRow<T> exp_row(const T* x, const bool* keep, T* y, std::int64_t n) {
  if (keep) {
    select_row(x, keep, -std::numeric_limits<T>::infinity(), y, n);
    x = y;
  }
  const T top = row_max(x, n);
  row_exp(x, top, y, n);
  return {top, row_sum(y, n)};
}

// Selected: where nothing is kept the sum is 0, and beside a NaN that counts it is NaN.
template <class T>
void divide_row(const bool* keep, T sum, T* y, std::int64_t n) {
  map_vectors(
      n, y, [sum](const Vec<T>& a) { return a / Vec<T>(sum); }, y);
  if (keep) select_row(y, keep, T{}, y, n);
}

// y = softmax(x) over the kept places, 0 elsewhere.
template <class T>
void softmax_row(const T* x, const bool* keep, T* y, std::int64_t n) {
  divide_row(keep, exp_row(x, keep, y, n).sum, y, n);
}

// dx = y (g - sum_k g_k y_k) over the kept places, 0 elsewhere; g and dx may be the same row
template <class T>
void softmax_gradient_row(const bool* keep, const T* y, const T* g, T* dx, std::int64_t n) {
  if (keep) {
    select_row(g, keep, T{}, dx, n);
    g = dx;
  }
  map_vectors(n, dx, functors::GradientOfSoftmax<T>{row_dot(g, y, n)}, y, g);
  if (keep) select_row(dx, keep, T{}, dx, n);
}

// y = log_softmax(x) over the kept places, 0 elsewhere.
template <class T>
void log_softmax_row(const T* x, const bool* keep, T* y, std::int64_t n) {
  const functors::LogSoftmax<T> rule(exp_row(x, keep, y, n));
  for (std::int64_t j = 0; j < n; ++j) y[j] = !keep || keep[j] ? rule(x[j]) : T{};
}

// dx = g - exp(y) sum_k g_k over the kept places, 0 elsewhere; g and dx are different rows
template <class T>
void log_softmax_gradient_row(const bool* keep, const T* y, const T* g, T* dx, std::int64_t n) {
  if (keep) select_row(g, keep, T{}, dx, n);
  const T sum = row_sum(keep ? dx : g, n);
  map_vectors(n, dx, functors::GradientOfLogSoftmax<T>{sum}, y, g);
  if (keep) select_row(dx, keep, T{}, dx, n);
}

// Calls f(T{}, first element, length) for each row, parts of the rows side by side. On a device,
// calls the kernel with the arguments that follow.
template <class Signature, class F, class... Given>
void for_each_row(const OpDef& op, const Tensor& x, const CudaKernel<Signature>& kernel, F f,
                  Given&&... given) {
  const Rows rows = rows_of(op, x);
  const auto on_cpu = [&] {
    dispatch_dtype(FloatingTypes{}, x.dtype(), op.name.c_str(), [&]<class T>(T) {
      parallel_for(rows.count, least_for(rows.length * 8), [&](std::int64_t row, std::int64_t end) {
        for (; row < end; ++row) f(T{}, row * rows.length, rows.length);
      });
    });
  };
  dispatch_device(x.device(), op.name.c_str(), kernel, on_cpu, std::forward<Given>(given)...);
}

}  // namespace maskgrad::ops
