// Products of matrices, as kernels get them. For `.cu` files. Internal to src/ops.
#pragma once

#include <maskgrad/ops/cpu/gemm/gemm.hpp>
#include <maskgrad/ops/cpu/gemm/sum_order.hpp>
#include <maskgrad/ops/functors/cuda_kernels.hpp>

namespace maskgrad::ops::cuda_gemm {

/// Element (i, p) is data[i * outer + p * term], for the terms p of a sum. The left factor has a
/// row i for each row of the product, the right one for each column. Rows `rows` and above hold
/// ones; products that want the sums of the other factor have one of them.
template <class T>
struct Factor {
  const T* data = nullptr;
  std::int64_t rows = 0, outer = 0, term = 0;
  std::int64_t ones = 0;

  __host__ __device__ std::int64_t all_rows() const { return rows + ones; }
  /// Whether numbers that lie side by side are terms of a row, else rows of a term.
  __host__ __device__ bool is_along_terms() const { return outer != 1; }
};

/// The most matrices of one launch that have no place in common.
inline constexpr int kMostMatrices = 16;

/// y[b] (i, j) = the sum of left[b] (i, p) right[b] (j, p) over p, in the order of `sum`, for
/// b = 0 .. count-1.
template <class T>
struct Products {
  Factor<T> left, right;
  BatchSum sum;
  T* y = nullptr;
  bool is_transposed = false;  // y[b] has a row for each row of the right factor

  std::int64_t count = 1;
  detail::Walk<2> walk = {};  // from factors to factors
  bool is_stacked = false;    // the matrix of product b is `matrices[b]` elements further
  std::int64_t matrices[kMostMatrices] = {};

  // What is done to a sum, in this order.
  bool adds = false;  // is added to y
  const T* bias = nullptr;
  std::int64_t biases[kMostMatrices] = {};  // of product b, where is_stacked, so much further
  bool relu = false;

  T* sums = nullptr;  // where those of a row of ones go

  /// Sums of one product.
  __host__ __device__ std::int64_t size() const { return left.all_rows() * right.all_rows(); }
};

/// One product.
template <class T>
Products<T> products_of(const MatrixProduct& d, const T* a, const T* b, T* y) {
  const bool is_one = d.rows_per_sample == 0;
  return {.left = {a, d.m, d.transpose_a ? 1 : d.k, d.transpose_a ? d.m : 1},
          .right = {b, d.n, d.transpose_b ? d.k : 1, d.transpose_b ? 1 : d.n},
          .sum = is_one ? BatchSum(d.k) : BatchSum(d.k / d.rows_per_sample, d.rows_per_sample),
          .y = y};
}

/// Where the factors of product b stand, in elements behind those of the first.
struct Places {
  std::int64_t left = 0, right = 0;
};
template <class T>
__device__ Places places_of(const Products<T>& f, std::int64_t b) {
  Places at;
  if (f.is_stacked) (f.is_transposed ? at.left : at.right) = f.matrices[b];
  for (int axis = 0; axis < f.walk.rank; ++axis) {
    const std::int64_t index = b % f.walk.sizes[axis];
    b /= f.walk.sizes[axis];
    at.left += index * f.walk.steps[0][axis];
    at.right += index * f.walk.steps[1][axis];
  }
  return at;
}

/// Puts the sum of (i, j) of product b where it belongs.
template <class T>
__device__ void finish(const Products<T>& f, std::int64_t b, std::int64_t i, std::int64_t j,
                       T sum) {
  if (i >= f.left.rows) {
    f.sums[j] = sum;
    return;
  }
  if (j >= f.right.rows) {
    f.sums[i] = sum;
    return;
  }
  const std::int64_t row = f.is_transposed ? j : i, column = f.is_transposed ? i : j,
                     columns = f.is_transposed ? f.left.rows : f.right.rows;
  T* const y = f.y + b * f.left.rows * f.right.rows + row * columns + column;
  if (f.adds) sum = *y + sum;
  if (f.bias) sum += f.bias[column + (f.is_stacked ? f.biases[b] : 0)];
  *y = f.relu && sum < T{} ? T{} : sum;  // a NaN stays
}

}  // namespace maskgrad::ops::cuda_gemm
