// Products of two matrices. Internal to src/ops.
#pragma once

#include <cstdint>

namespace maskgrad::ops {

/// y [m, n] = op(a) op(b), op(a) [m, k] and op(b) [k, n] transposed where said.
struct MatrixProduct {
  std::int64_t m, n, k;
  bool transpose_a = false, transpose_b = false;
  /// With transpose_a: the k rows of a are those of samples, so many each; 0: of one.
  std::int64_t rows_per_sample = 0;
  /// The m rows are samples, of which nobody can pad some. OpenBLAS may have the product, in whose
  /// order of addition the number of rows may count.
  bool rows_are_samples = false;
};

/// What is done to the sums of each row before they are stored: y = max(x + bias, 0), or less.
template <class T>
struct RowFinish {
  const T* bias = nullptr;  // [n]
  bool relu = false;
};

/// On several threads where it pays; the same bits on any number of them. Each sum is one of
/// BatchSum's, whatever the number of rows. T is float or double.
template <class T>
void multiply_matrices(const MatrixProduct& product, const T* a, const T* b, T* y,
                       const RowFinish<T>& finish = {});

}  // namespace maskgrad::ops
