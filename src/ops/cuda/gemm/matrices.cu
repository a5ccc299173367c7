#include <maskgrad/ops/cuda/gemm/cublas.hpp>
#include <maskgrad/ops/cuda/gemm/matrices.hpp>
#include <maskgrad/ops/cuda/gemm/tensor_cores.hpp>

namespace maskgrad::ops::cuda_gemm {
namespace {

template <class T>
ProductMath math_of() {
  return std::is_same_v<T, float> ? product_math() : ProductMath::kFloat32;
}

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

template <class T>
void multiply_by_cublas(std::shared_ptr<const Cublas> cublas, const MatrixProduct& d, const T* a,
                        const T* b, T* y, const RowFinish<T>& finish) {
  const bool is_tf32 = math_of<T>() == ProductMath::kTf32;
  const CublasMath math = is_tf32 ? CublasMath::kFastTf32 : CublasMath::kExact;
  Cublas::multiply(std::move(cublas), d, math, a, b, y);
  if (finish.bias || finish.relu) {
    const std::int64_t count = d.m * d.n;
    cuda::launch({"linear", cuda::blocks_for(count), cuda::kThreads}, finish_rows_kernel<T>, count,
                 d.n, finish, y);
  }
  if (finish.sums_of_b) sum_rows(with_finish(products_of(d, a, b, y), finish));
}

}  // namespace

template <class T>
void multiply_by_math(const Products<T>& f) {
  if constexpr (std::is_same_v<T, float>) {
    const ProductMath math = product_math();
    if (math != ProductMath::kFloat32) return multiply_by_tensor_cores(f, math);
  }
  multiply(f);
}

template <class T>
void multiply_matrices(const MatrixProduct& d, const T* a, const T* b, T* y,
                       const RowFinish<T>& finish) {
  const bool may_be_cublas = belongs_to_blas(d) && math_of<T>() != ProductMath::kTf32x3;
  auto cublas = may_be_cublas ? Cublas::get() : nullptr;
  if (cublas) return multiply_by_cublas(std::move(cublas), d, a, b, y, finish);
  multiply_by_math(with_finish(products_of(d, a, b, y), finish));
}

template void multiply_by_math(const Products<float>&);
template void multiply_by_math(const Products<double>&);

template void multiply_matrices(const MatrixProduct&, const float*, const float*, float*,
                                const RowFinish<float>&);
template void multiply_matrices(const MatrixProduct&, const double*, const double*, double*,
                                const RowFinish<double>&);

}  // namespace maskgrad::ops::cuda_gemm
