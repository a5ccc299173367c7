#include <xtensor-blas/xblas.hpp>

#include <maskgrad/ops/expression.hpp>
#include <maskgrad/ops/gemm_paths.hpp>

// OpenBLAS's own; weak, so that another BLAS links too.
extern "C" __attribute__((weak)) void openblas_set_num_threads(int count);

namespace maskgrad::ops {
namespace {

// BLAS may use one thread only: with another number it adds in another order, and threads are ours.
void hold_blas_to_one_thread() {
  static const bool once = [] {
    if (openblas_set_num_threads) openblas_set_num_threads(1);
    return true;
  }();
  static_cast<void>(once);
}

}  // namespace

// OpenBLAS copies both factors to where it wants them, which pays where no cache holds them. But
// its sums may depend on how many rows there are.
bool belongs_to_blas(const MatrixProduct& d) {
  constexpr std::int64_t kLarge = 1024;
  return d.rows_are_samples && d.m >= kLarge && d.n >= kLarge && d.k >= kLarge;
}

template <class T>
void multiply_by_blas(const MatrixProduct& d, const T* a, const T* b, T* y,
                      const RowFinish<T>& finish) {
  hold_blas_to_one_thread();
  auto out = as_rows(y, d.m, d.n);
  xt::blas::gemm(as_rows(a, d.transpose_a ? d.k : d.m, d.transpose_a ? d.m : d.k),
                 as_rows(b, d.transpose_b ? d.n : d.k, d.transpose_b ? d.k : d.n), out,
                 d.transpose_a, d.transpose_b, T{1}, T{0});
  finish_rows(y, d.m, d.n, finish);
}

template void multiply_by_blas(const MatrixProduct&, const float*, const float*, float*,
                               const RowFinish<float>&);
template void multiply_by_blas(const MatrixProduct&, const double*, const double*, double*,
                               const RowFinish<double>&);

}  // namespace maskgrad::ops
