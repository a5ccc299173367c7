// Rows times each of several matrices, and the gradients of both. Internal to src/ops.
#pragma once

#include <cstdint>

#include <maskgrad/ops/cpu/gemm/sum_order.hpp>

namespace maskgrad::ops {

/// y[i] = x w[i]: x [rows, k], `matrices` times w[i] [k, n], y [matrices, rows, n]. The rows belong
/// to samples of a batch. T is float or double; the same bits on any number of threads.
struct RowsTimesEach {
  std::int64_t matrices, samples, rows_per_sample, k, n;

  std::int64_t rows() const { return samples * rows_per_sample; }
  /// Over rows.
  BatchSum sum() const { return {samples, rows_per_sample}; }
};

/// `biases` are nullptr, or those of all: bias i [n] is added to the rows of y[i].
template <class T>
void multiply_by_each(const RowsTimesEach& product, const T* x, const T* const* w,
                      const T* const* biases, T* y);

/// dx = sum_i g[i] w[i]^T, in the order of i.
template <class T>
void multiply_by_each_transposed(const RowsTimesEach& product, const T* g, const T* const* w,
                                 T* dx);

/// Whether both gradients should be computed in one loop: those of small matrices and many samples.
bool gradients_share_a_loop(const RowsTimesEach& product);
/// dx as above and dw[i] = x^T g[i], in one loop over groups of samples that reads g once. The same
/// bits as apart.
template <class T>
void multiply_both_gradients(const RowsTimesEach& product, const T* x, const T* const* w,
                             const T* g, T* dx, T* const* dw);

}  // namespace maskgrad::ops
