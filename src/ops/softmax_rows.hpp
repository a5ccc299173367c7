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

// Copies the kept places, and writes `fill` at the others; without bits everything is kept.
template <class T>
void select_row(const T* x, const bool* keep, T fill, T* y, std::int64_t n) {
  if (!keep) {
    if (x != y) std::copy_n(x, n, y);
    return;
  }
  for (std::int64_t j = 0; j < n; ++j) y[j] = keep[j] ? x[j] : fill;
}

// Up to kMax elements of a row in memory of their own, filled up to whole vectors: what rows of 20
// floats take 1.6 times as long without (2,000 of them: 240 us against 154, AMD EPYC Genoa). Longer
// rows are computed where they stand.
template <class T>
struct ShortRow {
  static constexpr std::int64_t kMax = 256, kStep = 16;

  ShortRow(const T* x, std::int64_t n, T filling) : size((n + kStep - 1) / kStep * kStep) {
    std::copy_n(x, n, data());
    std::fill(values.begin() + n, values.begin() + size, filling);
  }
  T* data() { return values.data(); }

  std::int64_t size;
  alignas(kVectorBytes) std::array<T, kMax> values;
};

// The bits of a short row, false behind its end; nullptr for a row that has none.
struct ShortBits {
  ShortBits(const bool* keep, std::int64_t n, std::int64_t size) : has_bits(keep != nullptr) {
    if (!keep) return;
    std::copy_n(keep, n, bits.begin());
    std::fill(bits.begin() + n, bits.begin() + size, false);
  }
  const bool* data() const { return has_bits ? bits.data() : nullptr; }

  bool has_bits;
  std::array<bool, ShortRow<float>::kMax> bits;
};

// exp(x - top) over the kept places of x, the largest of them and the sum; 0 or NaN elsewhere.
template <class T>
struct ExpRow {
  T top, sum;
};

template <class T>
ExpRow<T> exp_row(const bool* keep, T* x, std::int64_t n) {
  select_row(x, keep, -std::numeric_limits<T>::infinity(), x, n);
  const T top = row_max(x, n);
  row_exp(x, top, x, n);
  return {top, row_sum(x, n)};
}

// Selected: where nothing is kept the sum is 0, and beside a NaN that counts it is NaN.
template <class T>
void divide_row(const bool* keep, T sum, T* y, std::int64_t n) {
  if (!keep) {
    for (std::int64_t j = 0; j < n; ++j) y[j] /= sum;
  } else {
    for (std::int64_t j = 0; j < n; ++j) y[j] = keep[j] ? y[j] / sum : T{};
  }
}

// y = softmax(x) over the kept places, 0 elsewhere.
template <class T>
void softmax_row(const T* x, const bool* keep, T* y, std::int64_t n) {
  if (n <= ShortRow<T>::kMax) {
    ShortRow<T> row(x, n, -std::numeric_limits<T>::infinity());
    const ShortBits bits(keep, n, row.size);
    const T sum = exp_row(bits.data(), row.data(), row.size).sum;
    divide_row(bits.data(), sum, row.data(), row.size);
    std::copy_n(row.data(), n, y);
    return;
  }
  std::copy_n(x, n, y);
  divide_row(keep, exp_row(keep, y, n).sum, y, n);
}

// dx = y (g - sum_k g_k y_k) over the kept places, 0 elsewhere; g and dx may be the same row
template <class T>
void softmax_gradient(const bool* keep, const T* y, const T* g, T* dx, std::int64_t n) {
  select_row(g, keep, T{}, dx, n);
  const T dot = row_dot(dx, y, n);
  for (std::int64_t j = 0; j < n; ++j) dx[j] = y[j] * (dx[j] - dot);
  select_row(dx, keep, T{}, dx, n);
}

template <class T>
void softmax_gradient_row(const bool* keep, const T* y, const T* g, T* dx, std::int64_t n) {
  if (n > ShortRow<T>::kMax) return softmax_gradient(keep, y, g, dx, n);
  ShortRow<T> out(y, n, T{}), grad(g, n, T{});
  const ShortBits bits(keep, n, out.size);
  softmax_gradient(bits.data(), out.data(), grad.data(), grad.data(), out.size);
  std::copy_n(grad.data(), n, dx);
}

// Calls f(T{}, first element, length) for each row, parts of the rows side by side.
template <class F>
void for_each_row(const OpDef& op, const Tensor& x, F f) {
  const Rows rows = rows_of(op, x);
  dispatch_device(x.device(), op.name.c_str(), [&] {
    dispatch_dtype(FloatingTypes{}, x.dtype(), op.name.c_str(), [&]<class T>(T) {
      parallel_for(rows.count, least_for(rows.length * 8), [&](std::int64_t row, std::int64_t end) {
        for (; row < end; ++row) f(T{}, row * rows.length, rows.length);
      });
    });
  });
}

}  // namespace maskgrad::ops
