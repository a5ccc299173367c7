#include <algorithm>
#include <limits>
#include <mutex>

#include <xtensor-blas/xblas.hpp>

#include <maskgrad/ops/gemm_parts.hpp>
#include <maskgrad/ops/gemm_paths.hpp>

// OpenBLAS's own; weak, so that another BLAS links too.
extern "C" {
__attribute__((weak)) void openblas_set_num_threads(int count);
__attribute__((weak)) int openblas_get_num_threads();
}

namespace maskgrad::ops {
namespace {

// While one lives, BLAS uses one thread: with another number it adds in another order, and threads
// are ours. Then it uses as many as before: they may be somebody else's.
class OneThreadOfBlas {
 public:
  OneThreadOfBlas() {
    const std::lock_guard lock(mutex);
    if (users++ > 0 || !openblas_get_num_threads || !openblas_set_num_threads) return;
    before = openblas_get_num_threads();
    if (before != 1) openblas_set_num_threads(1);
  }
  ~OneThreadOfBlas() {
    const std::lock_guard lock(mutex);
    if (--users == 0 && before > 1) openblas_set_num_threads(before);
  }
  OneThreadOfBlas(const OneThreadOfBlas&) = delete;
  OneThreadOfBlas& operator=(const OneThreadOfBlas&) = delete;

 private:
  static inline std::mutex mutex;
  static inline int users = 0, before = 1;
};

}  // namespace

// OpenBLAS copies both factors to where it wants them, which pays where no cache holds them. But
// its sums may depend on how many rows there are.
bool belongs_to_blas(const MatrixProduct& d) {
  constexpr std::int64_t kLarge = 1024, kMost = std::numeric_limits<int>::max();
  return d.rows_are_samples && std::min({d.m, d.n, d.k}) >= kLarge &&
         std::max({d.m, d.n, d.k}) <= kMost;
}

template <class T>
void multiply_by_blas(const MatrixProduct& d, const T* a, const T* b, T* y,
                      const RowFinish<T>& finish) {
  constexpr std::int64_t kRows = 512;  // of a part: more than a copy of b costs
  const OneThreadOfBlas guard;
  const Strided<T> left = left_of(d, a);
  const auto transpose = [](bool is) { return is ? cxxblas::Trans : cxxblas::NoTrans; };
  parallel_for_parts(d.m, d.m / (2 * kRows) * 2, [&](std::int64_t begin, std::int64_t end) {
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
