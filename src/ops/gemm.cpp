#include <algorithm>
#include <atomic>
#include <iterator>

#include <maskgrad/ops/gemm_parts.hpp>
#include <maskgrad/ops/gemm_paths.hpp>
#include <maskgrad/ops/sample_sums.hpp>
#include <maskgrad/tensor/cpu/pool_allocator.hpp>

namespace maskgrad::ops {
namespace {

// Rows [begin, end) of y, with b [k, n], its rows `stride` apart.
template <class T>
void multiply_and_finish(const MatrixProduct& d, std::int64_t begin, std::int64_t end, const T* a,
                         const T* b, std::int64_t stride, T* y, const RowFinish<T>& finish) {
  T* const rows = y + begin * d.n;
  multiply_part(end - begin, d.n, d.k, left_of(d, a).rows_from(begin), b, stride,
                StoreTo<T>{rows, d.n});
  finish_rows(rows, end - begin, d.n, finish);
}

// With b [k, n] as it stands.
template <class T>
void multiply_rows(const MatrixProduct& d, const T* a, const T* b, T* y,
                   const RowFinish<T>& finish) {
  parallel_for_parts(d.m, parts_of_rows(d.m, d.n * d.k), [&](std::int64_t begin, std::int64_t end) {
    multiply_and_finish(d, begin, end, a, b, d.n, y, finish);
  });
}

// b [n, k] transposed, [k, stride], in memory that the thread keeps, 1 MiB of floats at most: once
// in a call, for all parts that it takes.
template <class T>
const T* transposed_by_thread(const MatrixProduct& d, const T* b, std::int64_t stride,
                              std::uint64_t call) {
  static thread_local PoolVector<T> columns;
  static thread_local std::uint64_t of_call = 0;
  if (of_call != call) {
    if (std::ssize(columns) < d.k * stride) {
      columns.clear();  // or its elements would move
      columns.resize(static_cast<std::size_t>(d.k * stride));
    }
    transpose<true>(b, d.k, d.n, d.k, T{1}, columns.data(), stride);
    of_call = call;
  }
  return columns.data();
}

// With b [n, k]. One or two threads transpose it each for itself while caches hold it: if each of
// two wrote half, half of the lines would change hands twice, which takes as long. More threads, or
// all where it is large, transpose it once together.
template <class T>
void multiply_transposed(const MatrixProduct& d, const T* a, const T* b, T* y,
                         const RowFinish<T>& finish) {
  static std::atomic<std::uint64_t> calls{0};
  const std::uint64_t call = ++calls;
  const std::int64_t stride = whole_vectors<T>(d.n);
  const bool together = num_threads() > 2 || d.k * stride > kCached;
  const Tensor shared = together ? transposed_by_all(b, d.n, d.k) : Tensor();
  parallel_for_parts(d.m, parts_of_rows(d.m, d.n * d.k), [&](std::int64_t begin, std::int64_t end) {
    const T* columns =
        shared.defined() ? shared.data<T>() : transposed_by_thread(d, b, stride, call);
    multiply_and_finish(d, begin, end, a, columns, stride, y, finish);
  });
}

// A small y that sums over many rows: chunks of samples side by side, then their sums in order.
template <class T>
void multiply_by_samples(const MatrixProduct& d, const T* a, const T* b, T* y,
                         const RowFinish<T>& finish) {
  const std::int64_t each = d.rows_per_sample, samples = (d.k + each - 1) / each;
  sum_over_samples(
      samples, d.m * d.n * d.k, d.m * d.n, y, [&](std::int64_t begin, std::int64_t end, T* sums) {
        const std::int64_t first = begin * each, last = std::min(end * each, d.k);
        block_product<true>(d.m, d.n, last - first, Strided<T>{a + first * d.m, 1, d.m},
                            b + first * d.n, d.n, StoreTo<T>{sums, d.n});
      });
  finish_rows(y, d.m, d.n, finish);
}

}  // namespace

template <class T>
void multiply_matrices(const MatrixProduct& d, const T* a, const T* b, T* y,
                       const RowFinish<T>& finish) {
  if (d.m == 0 || d.n == 0) return;
  if (belongs_to_blas(d)) return multiply_by_blas(d, a, b, y, finish);
  if (d.transpose_b) {
    const bool may_be_few = d.rows_are_samples && !d.transpose_a;
    if (may_be_few && multiplied_few_rows(d, a, b, y, finish)) return;
    return multiply_transposed(d, a, b, y, finish);
  }
  if (multiplied_few_terms(d, a, b, y, finish)) return;
  if (d.transpose_a && d.rows_per_sample > 0 && d.m * d.n <= kSmallSum) {
    return multiply_by_samples(d, a, b, y, finish);
  }
  multiply_rows(d, a, b, y, finish);
}

template <class T>
void sum_rows(const T* x, std::int64_t rows, std::int64_t columns, T* sums) {
  std::fill_n(sums, columns, T{});
  for (std::int64_t i = 0; i < rows; ++i) add_row(x + i * columns, sums, columns);
}

template void multiply_matrices(const MatrixProduct&, const float*, const float*, float*,
                                const RowFinish<float>&);
template void multiply_matrices(const MatrixProduct&, const double*, const double*, double*,
                                const RowFinish<double>&);
template void sum_rows(const float*, std::int64_t, std::int64_t, float*);
template void sum_rows(const double*, std::int64_t, std::int64_t, double*);

}  // namespace maskgrad::ops
