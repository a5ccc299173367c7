// What softmax and its kin do to the rows of a tensor. Internal to src/ops.
#pragma once

#include <maskgrad/ops/row_kernels.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>
#include <maskgrad/tensor/op_def.hpp>

namespace maskgrad::ops {

struct Rows {
  std::int64_t count, length;
};

inline Rows rows_of(const OpDef& op, const Tensor& x) {
  check(x.rank() >= 1, op.name.c_str(), "needs at least one dimension");
  const std::int64_t length = x.dim(-1);
  return {length ? x.numel() / length : 0, length};
}

// exp(x - max) into y; returns the sum.
template <class T>
T exp_row(const T* x, T* y, std::int64_t n) {
  row_exp(x, row_max(x, n), y, n);
  return row_sum(y, n);
}

template <class T>
void divide_row(T* y, T by, std::int64_t n) {
  for (std::int64_t j = 0; j < n; ++j) y[j] /= by;
}

// dx = y (g - sum_k g_k y_k)
template <class T>
void softmax_gradient_row(const T* y, const T* g, T* dx, std::int64_t n) {
  const T dot = row_dot(g, y, n);
  for (std::int64_t j = 0; j < n; ++j) dx[j] = y[j] * (g[j] - dot);
}

// Runs f(row pointers..., length) over all rows, in chunks.
template <class F>
void for_each_row(const OpDef& op, const Tensor& x, F f) {
  const Rows rows = rows_of(op, x);
  dispatch_device(x.device(), op.name.c_str(), [&] {
    dispatch_dtype(FloatingTypes{}, x.dtype(), op.name.c_str(), [&]<class T>(T) {
      parallel_for(rows.count, chunk_for(rows.length * 8), [&](std::int64_t row, std::int64_t end) {
        for (; row < end; ++row) f(T{}, row * rows.length, rows.length);
      });
    });
  });
}

}  // namespace maskgrad::ops
