// The ways that a product of matrices can take, and what they share. Internal to gemm.
#pragma once

#include <maskgrad/ops/cpu/gemm/batch_sum.hpp>
#include <maskgrad/ops/cpu/gemm/gemm.hpp>

namespace maskgrad::ops {

template <class T>
void finish_rows(T* y, std::int64_t rows, std::int64_t columns, const RowFinish<T>& finish) {
  for (std::int64_t i = 0; finish.bias && i < rows; ++i)
    add_row(finish.bias, y + i * columns, columns);
  if (!finish.relu) return;
  // A NaN stays.
  for (std::int64_t i = 0; i < rows * columns; ++i) y[i] = y[i] < T{} ? T{} : y[i];
}

// Element (i, p) of op(a).
template <class T>
Strided<T> left_of(const MatrixProduct& d, const T* a) {
  return d.transpose_a ? Strided<T>{a, 1, d.m} : Strided<T>{a, d.k, 1};
}

/// Sums over the rows of x [terms of `sum`, columns], in the order in which a product whose left
/// factor holds ones would add them.
template <class T>
void sum_columns(const BatchSum& sum, const T* x, std::int64_t columns, T* sums);

/// One to four.
constexpr bool is_few(std::int64_t count) { return count >= 1 && count <= 4; }
/// Products of one sample: of few rows with b [n, k], and of sums of few terms with b [k, n].
template <class T>
void multiply_few_rows(const MatrixProduct& product, const T* a, const T* b, T* y,
                       const RowFinish<T>& finish);
template <class T>
void multiply_few_terms(const MatrixProduct& product, const T* a, const T* b, T* y,
                        const RowFinish<T>& finish);

/// By OpenBLAS.
template <class T>
void multiply_by_blas(const MatrixProduct& product, const T* a, const T* b, T* y,
                      const RowFinish<T>& finish);

}  // namespace maskgrad::ops
