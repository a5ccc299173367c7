#include <maskgrad/ops/cuda/gemm/cublas.hpp>
#include <maskgrad/ops/cuda/gemm/matrices.hpp>

namespace maskgrad::ops::cuda_gemm {
namespace {

template <class T>
Products<T> with_finish(Products<T> f, const RowFinish<T>& finish) {
  f.bias = finish.bias;
  f.relu = finish.relu;
  f.left.ones = finish.sums_of_b ? 1 : 0;
  f.sums = finish.sums_of_b;
  return f;
}

// y = max(y + bias, 0), or less.
template <class T>
__global__ void finish_rows_kernel(std::int64_t count, std::int64_t columns, RowFinish<T> finish,
                                   T* y) {
  const std::int64_t i = cuda::thread_number();
  if (i >= count) return;
  T x = y[i];
  if (finish.bias) x += finish.bias[i % columns];
  y[i] = finish.relu && x < T{} ? T{} : x;  // a NaN stays
}

// The sums of b over its rows are those of a product that has no rows but one of ones.
template <class T>
void sum_rows_of_b(const MatrixProduct& d, const T* a, const T* b, T* y,
                   const RowFinish<T>& finish) {
  Products<T> f = with_finish(products_of(d, a, b, y), finish);
  f.left.rows = 0;
  multiply(f);
}

template <class T>
void multiply_by_cublas(const Cublas& cublas, const MatrixProduct& d, const T* a, const T* b, T* y,
                        const RowFinish<T>& finish) {
  cublas.multiply(d, CublasMath::kExact, a, b, y);
  if (finish.bias || finish.relu) {
    const std::int64_t count = d.m * d.n;
    cuda::launch({"linear", cuda::blocks_for(count), cuda::kThreads}, finish_rows_kernel<T>, count,
                 d.n, finish, y);
  }
  if (finish.sums_of_b) sum_rows_of_b(d, a, b, y, finish);
}

}  // namespace

template <class T>
void multiply_matrices(const MatrixProduct& d, const T* a, const T* b, T* y,
                       const RowFinish<T>& finish) {
  const auto cublas = belongs_to_blas(d) ? Cublas::get() : nullptr;
  if (cublas) return multiply_by_cublas(*cublas, d, a, b, y, finish);
  multiply(with_finish(products_of(d, a, b, y), finish));
}

template void multiply_matrices(const MatrixProduct&, const float*, const float*, float*,
                                const RowFinish<float>&);
template void multiply_matrices(const MatrixProduct&, const double*, const double*, double*,
                                const RowFinish<double>&);

}  // namespace maskgrad::ops::cuda_gemm
