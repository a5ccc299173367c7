// Products of two matrices. Internal to src/ops.
#pragma once

#include <cstdint>

namespace maskgrad::ops {

/// y [m, n] = op(a) op(b), op(a) [m, k] and op(b) [k, n] transposed where said.
struct MatrixProduct {
  std::int64_t m, n, k;
  bool transpose_a = false, transpose_b = false;
  /// With transpose_a: the k rows of a belong to groups of this many, samples of a batch; 0: to
  /// none. Sums over many of them are then cut into chunks of whole samples.
  std::int64_t rows_per_sample = 0;
  /// The m rows are samples, of which nobody can pad some: a few may be summed in another order
  /// than many.
  bool rows_are_samples = false;
};

/// What is done to the sums of each row before they are stored: y = max(x + bias, 0), or less.
template <class T>
struct RowFinish {
  const T* bias = nullptr;  // [n]
  bool relu = false;
};

/// On several threads where it pays; the same bits on any number of them. Without rows_are_samples
/// and rows_per_sample, a row's sums do not depend on how many rows there are; with rows_per_sample
/// they do not depend on rows of zeros at the end of each sample. T is float or double.
template <class T>
void multiply_matrices(const MatrixProduct& product, const T* a, const T* b, T* y,
                       const RowFinish<T>& finish = {});

/// sums[j] = sum_i x[i, j], in the order of i.
template <class T>
void sum_rows(const T* x, std::int64_t rows, std::int64_t columns, T* sums);

}  // namespace maskgrad::ops
