#include <maskgrad/ops/cuda/gemm/matrices.hpp>
#include <maskgrad/ops/math/product_slots.hpp>

namespace maskgrad::ops {
namespace {

using cuda_gemm::Products;

template <class T>
Products<T> products_of(const MatrixProduct& d, const Tensor& a, const Tensor& b, Tensor& y) {
  return cuda_gemm::products_of(d, a.device_data<T>(), b.device_data<T>(), y.device_data<T>());
}

template <class F>
void for_dtype_of(const Tensor& x, F f) {
  dispatch_dtype(FloatingTypes{}, x.dtype(), "matmul", f);
}

void matmul_on_device(const MatrixProduct& d, const Tensor& a, const Tensor& b, Tensor& y) {
  for_dtype_of(y, [&]<class T>(T) {
    cuda_gemm::multiply_matrices(d, a.device_data<T>(), b.device_data<T>(), y.device_data<T>());
  });
}

void batched_matmul_on_device(const MatrixProduct& d, const Batches& batches, const Tensor& a,
                              const Tensor& b, Tensor& y) {
  for_dtype_of(y, [&]<class T>(T) {
    Products<T> f = products_of<T>(d, a, b, y);
    f.count = batches.y.numel();
    f.walk = detail::walk_of<2>(batches.y, {&batches.a, &batches.b});
    for (int axis = 0; axis < f.walk.rank; ++axis) {
      f.walk.steps[0][axis] *= d.m * d.k;
      f.walk.steps[1][axis] *= d.k * d.n;
    }
    cuda_gemm::multiply_by_math(f);
  });
}

void linear_on_device(const MatrixProduct& d, const Tensor& a, const Tensor& b, const Tensor& bias,
                      bool relu, Tensor& y) {
  for_dtype_of(y, [&]<class T>(T) {
    cuda_gemm::multiply_matrices(d, a.device_data<T>(), b.device_data<T>(), y.device_data<T>(),
                                 RowFinish<T>{.bias = bias.device_data<T>(), .relu = relu});
  });
}

void product_and_sums_on_device(const MatrixProduct& d, const Tensor& a, const Tensor& b, Tensor& y,
                                Tensor& sums) {
  for_dtype_of(y, [&]<class T>(T) {
    cuda_gemm::multiply_matrices(d, a.device_data<T>(), b.device_data<T>(), y.device_data<T>(),
                                 RowFinish<T>{.sums_of_b = sums.device_data<T>()});
  });
}

void sum_of_rows_on_device(const RowsTimesEach& d, const Tensor& g, Tensor& sums) {
  for_dtype_of(g, [&]<class T>(T) {
    // The left factor has the row of ones alone, for which nothing is read.
    cuda_gemm::multiply(Products<T>{.left = {.data = g.device_data<T>(), .ones = 1},
                                    .right = {g.device_data<T>(), d.n, 1, d.n},
                                    .sum = d.sum(),
                                    .y = nullptr,
                                    .sums = sums.device_data<T>()});
  });
}

using Matrices = std::span<const Variable* const>;

// How many elements x begins behind `first`, which may be in other memory.
template <class T>
std::int64_t distance(const T* first, const T* x) {
  const auto bytes = reinterpret_cast<std::intptr_t>(x) - reinterpret_cast<std::intptr_t>(first);
  return bytes / static_cast<std::intptr_t>(sizeof(T));
}

// `biases` may be none.
void stacked_on_device(const RowsTimesEach& d, const Tensor& x, Matrices w, Matrices biases,
                       Tensor& y) {
  for_dtype_of(y, [&]<class T>(T) {
    for (std::size_t first = 0; first < w.size(); first += cuda_gemm::kMostMatrices) {
      const std::size_t count = std::min<std::size_t>(w.size() - first, cuda_gemm::kMostMatrices);
      Products<T> f = products_of<T>({.m = d.rows(), .n = d.n, .k = d.k}, x, w[first]->value(), y);
      f.y += static_cast<std::int64_t>(first) * d.rows() * d.n;
      f.count = static_cast<std::int64_t>(count);
      f.is_stacked = true;
      if (!biases.empty()) f.bias = biases[first]->value().device_data<T>();
      for (std::size_t i = 0; i < count; ++i) {
        const Tensor& matrix = w[first + i]->value();
        f.matrices[i] = distance(f.right.data, matrix.device_data<T>());
        if (f.bias) f.biases[i] = distance(f.bias, biases[first + i]->value().device_data<T>());
      }
      cuda_gemm::multiply_by_math(f);
    }
  });
}

void stacked_gradient_on_device(const RowsTimesEach& d, const Tensor& g, std::span<const Saved> w,
                                Tensor& dx) {
  const MatrixProduct one = {.m = d.rows(), .n = d.k, .k = d.n, .transpose_b = true};
  for_dtype_of(dx, [&]<class T>(T) {
    for (std::size_t i = 0; i < w.size(); ++i) {
      Products<T> f = products_of<T>(one, g[static_cast<std::int64_t>(i)], *w[i], dx);
      f.adds = i > 0;
      cuda_gemm::multiply_by_math(f);
    }
  });
}

const bool kFilled =
    kMatmulCuda.fill(matmul_on_device) && kBatchedMatmulCuda.fill(batched_matmul_on_device) &&
    kLinearCuda.fill(linear_on_device) && kProductAndSumsCuda.fill(product_and_sums_on_device) &&
    kSumOfRowsCuda.fill(sum_of_rows_on_device) &&
    kStackedMatmulCuda.fill([](const RowsTimesEach& d, const Tensor& x, Matrices w, Tensor& y) {
      stacked_on_device(d, x, w, {}, y);
    }) &&
    kStackedLinearCuda.fill(stacked_on_device) &&
    kStackedGradientCuda.fill(stacked_gradient_on_device);

}  // namespace
}  // namespace maskgrad::ops
