// Products of two matrices. Internal to src/ops.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace maskgrad::ops {

/// y [m, n] = op(a) op(b), op(a) [m, k] and op(b) [k, n] transposed where said.
struct MatrixProduct {
  std::int64_t m, n, k;
  bool transpose_a = false, transpose_b = false;
  /// With transpose_a: the k rows of a are those of samples, so many each; 0: of one.
  std::int64_t rows_per_sample = 0;
  /// The rows of a are samples, so no padding adds rows. Then OpenBLAS may have the product, whose
  /// order of addition may depend on their number.
  bool rows_are_samples = false;
};

/// Whether a BLAS may have the product. It copies both factors to where it wants them, which pays
/// where no cache holds them. But its sums may depend on how many rows there are.
inline bool belongs_to_blas(const MatrixProduct& product) {
  constexpr std::int64_t kLarge = 1024, kMost = std::numeric_limits<int>::max();
  const auto [least, most] = std::minmax({product.m, product.n, product.k});
  return product.rows_are_samples && least >= kLarge && most <= kMost;
}

/// What is done to the sums of each row before they are stored: y = max(x + bias, 0), or less.
template <class T>
struct RowFinish {
  const T* bias = nullptr;  // [n]
  bool relu = false;
  /// With transpose_a: where the sums over the k rows of b go, [n], in the order of those of y.
  T* sums_of_b = nullptr;
};

/// On several threads where it pays; the same bits on any number of them. Each sum is one of
/// BatchSum's, whatever the number of rows, unless OpenBLAS has the product. T is float or double.
template <class T>
void multiply_matrices(const MatrixProduct& product, const T* a, const T* b, T* y,
                       const RowFinish<T>& finish = {});

}  // namespace maskgrad::ops
