#include <algorithm>

// The functions that xtensor-blas calls are found when OpenBLAS is loaded, not by the linker.
#define cblas_sgemm maskgrad_cblas_sgemm
#define cblas_dgemm maskgrad_cblas_dgemm
#include <xtensor-blas/xblas.hpp>

#include <maskgrad/ops/cpu/gemm/blas.hpp>
#include <maskgrad/ops/cpu/gemm/gemm_parts.hpp>
#include <maskgrad/ops/cpu/gemm/gemm_paths.hpp>

extern "C" {
void cblas_sgemm(CBLAS_ORDER order, CBLAS_TRANSPOSE transpose_a, CBLAS_TRANSPOSE transpose_b, int m,
                 int n, int k, float alpha, const float* a, int row_a, const float* b, int row_b,
                 float beta, float* c, int row_c) {
  maskgrad::ops::Blas::loaded().gemm<float>()(order, transpose_a, transpose_b, m, n, k, alpha, a,
                                              row_a, b, row_b, beta, c, row_c);
}
void cblas_dgemm(CBLAS_ORDER order, CBLAS_TRANSPOSE transpose_a, CBLAS_TRANSPOSE transpose_b, int m,
                 int n, int k, double alpha, const double* a, int row_a, const double* b, int row_b,
                 double beta, double* c, int row_c) {
  maskgrad::ops::Blas::loaded().gemm<double>()(order, transpose_a, transpose_b, m, n, k, alpha, a,
                                               row_a, b, row_b, beta, c, row_c);
}
}

namespace maskgrad::ops {

template <class T>
void multiply_by_blas(const MatrixProduct& d, const T* a, const T* b, T* y,
                      const RowFinish<T>& finish) {
  constexpr std::int64_t kRows = 512;  // of a part: more than a copy of b costs
  const std::int64_t parts = d.m / (2 * kRows) * 2;
  const Blas::Use use(Blas::loaded(), std::min(num_threads(), static_cast<int>(parts)));
  const Strided<T> left = left_of(d, a);
  const auto transpose = [](bool is) { return is ? cxxblas::Trans : cxxblas::NoTrans; };
  parallel_for_parts(d.m, parts, [&](std::int64_t begin, std::int64_t end) {
    T* const rows = y + begin * d.n;
    cxxblas::gemm(cxxblas::RowMajor, transpose(d.transpose_a), transpose(d.transpose_b),
                  static_cast<int>(end - begin), static_cast<int>(d.n), static_cast<int>(d.k), T{1},
                  left.rows_from(begin).data, static_cast<int>(d.transpose_a ? d.m : d.k), b,
                  static_cast<int>(d.transpose_b ? d.k : d.n), T{0}, rows, static_cast<int>(d.n));
    finish_rows(rows, end - begin, d.n, finish);
  });
}

template void multiply_by_blas(const MatrixProduct&, const float*, const float*, float*,
                               const RowFinish<float>&);
template void multiply_by_blas(const MatrixProduct&, const double*, const double*, double*,
                               const RowFinish<double>&);

}  // namespace maskgrad::ops
