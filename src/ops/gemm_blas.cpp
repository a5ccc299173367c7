#include <algorithm>
#include <limits>

#include <maskgrad/ops/blas.hpp>
#include <maskgrad/ops/gemm_paths.hpp>

namespace maskgrad::ops {

// OpenBLAS copies both factors to where it wants them, which pays where no cache holds them. But
// its sums may depend on how many rows there are.
bool belongs_to_blas(const MatrixProduct& d) {
  constexpr std::int64_t kLarge = 1024, kMost = std::numeric_limits<int>::max();
  const auto [least, most] = std::minmax({d.m, d.n, d.k});
  return d.rows_are_samples && least >= kLarge && most <= kMost;
}

template <class T>
void multiply_by_blas(const MatrixProduct& d, const T* a, const T* b, T* y,
                      const RowFinish<T>& finish) {
  Blas::loaded().multiply(d.transpose_a, d.transpose_b, static_cast<int>(d.m),
                          static_cast<int>(d.n), static_cast<int>(d.k), a, b, y);
  finish_rows(y, d.m, d.n, finish);
}

template void multiply_by_blas(const MatrixProduct&, const float*, const float*, float*,
                               const RowFinish<float>&);
template void multiply_by_blas(const MatrixProduct&, const double*, const double*, double*,
                               const RowFinish<double>&);

}  // namespace maskgrad::ops
