#include <algorithm>
#include <utility>

#include <xtensor-blas/xblas.hpp>

#include <maskgrad/ops/block_product.hpp>
#include <maskgrad/ops/expression.hpp>
#include <maskgrad/ops/gemm.hpp>
#include <maskgrad/ops/transpose.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>

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

template <class T>
void finish_rows(T* y, std::int64_t rows, std::int64_t columns, const RowFinish<T>& finish) {
  for (std::int64_t i = 0; finish.bias && i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) y[i * columns + j] += finish.bias[j];
  }
  // A NaN stays.
  for (std::int64_t i = 0; finish.relu && i < rows * columns; ++i) y[i] = y[i] < T{} ? T{} : y[i];
}

// Element (i, p) of op(a).
template <class T>
Strided<T> left_of(const MatrixProduct& d, const T* a) {
  return d.transpose_a ? Strided<T>{a, 1, d.m} : Strided<T>{a, d.k, 1};
}

// b [k, n] as it stands, chunks of rows of y side by side. Of a long sum some terms come first, so
// that the rows of b that they need stay in cache; what comes after starts from them, and the bits
// are those of one sum.
template <class T>
void multiply_rows(const MatrixProduct& d, const T* a, const T* b, std::int64_t stride, T* y,
                   const RowFinish<T>& finish) {
  constexpr std::int64_t kTerms = 1024, kCached = 256 * 1024;  // elements
  // Whole blocks of registers, and more of them where b comes from memory for each chunk.
  const std::int64_t block = d.n * d.k > kCached ? 96 : 12;
  const std::int64_t chunk = (chunk_for(d.n * d.k) + block - 1) / block * block;
  parallel_for(d.m, chunk, [&](std::int64_t begin, std::int64_t end) {
    const Strided<T> left = left_of(d, a).rows_from(begin);
    T* const rows = y + begin * d.n;
    block_product<true>(end - begin, d.n, std::min(kTerms, d.k), left, b, stride,
                        StoreTo<T>{rows, d.n});
    for (std::int64_t p = kTerms; p < d.k; p += kTerms) {
      const Strided<T> rest = {left.data + p * left.column, left.row, left.column};
      block_product<true>(end - begin, d.n, std::min(kTerms, d.k - p), rest, b + p * stride, stride,
                          AddTo<T>{rows, d.n});
    }
    finish_rows(rows, end - begin, d.n, finish);
  });
}

// With b [n, k], after transposing it once for all rows.
template <class T>
void multiply_transposed(const MatrixProduct& d, const T* a, const T* b, T* y,
                         const RowFinish<T>& finish) {
  const std::int64_t stride = whole_vectors<T>(d.n);
  Tensor transposed = Tensor::empty({d.k, stride}, dtype_of<T>);
  T* const columns = transposed.data<T>();
  parallel_for(d.n, 64, [&](std::int64_t begin, std::int64_t end) {
    transpose<true>(b + begin * d.k, d.k, end - begin, d.k, T{1}, columns + begin, stride);
  });
  multiply_rows(d, a, columns, stride, y, finish);
}

// Rows of b that are read side by side.
template <class T>
inline constexpr int kBeside = static_cast<int>(std::min<std::int64_t>(8, kLanes<T>));

// kRows rows of a times kBeside of b, all of length k: products whose lanes are still to be summed,
// from partials[i][lane] on.
template <class T, int kRows>
inline void multiply_beside(const T* a, const std::array<const T*, kBeside<T>>& b, std::int64_t k,
                            std::size_t lane, std::array<Partials<T>, kRows>& partials) {
  Vec<T> sums[kRows][kBeside<T>];
  detail::unrolled<kRows>([&](auto i) MASKGRAD_INLINE {
    detail::unrolled<kBeside<T>>([&](auto j) MASKGRAD_INLINE { sums[i][j] = Vec<T>(T{}); });
  });
  const auto add = [&](auto load) MASKGRAD_INLINE {
    Vec<T> right[kBeside<T>];
    detail::unrolled<kBeside<T>>([&](auto j) MASKGRAD_INLINE { right[j] = load(b[j]); });
    detail::unrolled<kRows>([&](auto i) MASKGRAD_INLINE {
      const Vec<T> left = load(a + i * k);
      detail::unrolled<kBeside<T>>(
          [&](auto j) MASKGRAD_INLINE { sums[i][j] = xsimd::fma(left, right[j], sums[i][j]); });
    });
  };
  std::int64_t p = 0;
  for (; p + kLanes<T> <= k; p += kLanes<T>) {
    add([p](const T* row) { return Vec<T>::load_unaligned(row + p); });
  }
  if (p < k) add([p, k](const T* row) { return load_first(row + p, k - p); });
  detail::unrolled<kRows>([&](auto i) MASKGRAD_INLINE {
    detail::unrolled<kBeside<T>>([&](auto j)
                                     MASKGRAD_INLINE { partials[i][lane + j] = sums[i][j]; });
  });
}

// A few rows with b [n, k], vectors along k: transposing b would take longer than the product.
template <class T, int kRows>
void multiply_few_rows(const MatrixProduct& d, const T* a, const T* b, T* y,
                       const RowFinish<T>& finish) {
  const std::int64_t vectors = (d.n + kLanes<T> - 1) / kLanes<T>;
  parallel_for(vectors, chunk_for(kLanes<T> * kRows * d.k), [&](std::int64_t v, std::int64_t end) {
    std::array<Partials<T>, kRows> partials;
    for (; v < end; ++v) {
      const std::int64_t j = v * kLanes<T>, count = std::min(kLanes<T>, d.n - j);
      for (std::int64_t l = 0; l < kLanes<T>; l += kBeside<T>) {
        // Lanes beyond the last column repeat it, and are not stored.
        std::array<const T*, kBeside<T>> rows;
        for (int r = 0; r < kBeside<T>; ++r) {
          rows[static_cast<std::size_t>(r)] = b + (j + std::min(l + r, count - 1)) * d.k;
        }
        multiply_beside<T, kRows>(a, rows, d.k, static_cast<std::size_t>(l), partials);
      }
      for (std::int64_t i = 0; i < kRows; ++i) {
        store_first(sum_lanes<T>(partials[static_cast<std::size_t>(i)]), y + i * d.n + j, count);
      }
    }
  });
  finish_rows(y, d.m, d.n, finish);
}

// A small y that sums over many rows: chunks of samples side by side, then their sums in order.
template <class T>
void multiply_by_samples(const MatrixProduct& d, const T* a, const T* b, T* y,
                         const RowFinish<T>& finish) {
  constexpr std::int64_t kSamples = 16;
  const std::int64_t rows = kSamples * d.rows_per_sample, chunks = (d.k + rows - 1) / rows;
  Tensor partial = Tensor::empty({chunks, d.m, d.n}, dtype_of<T>);
  T* const sums = partial.data<T>();
  parallel_for(chunks, chunk_for(rows * d.m * d.n), [&](std::int64_t c, std::int64_t end) {
    for (; c < end; ++c) {
      const std::int64_t first = c * rows, count = std::min(rows, d.k - first);
      block_product<true>(d.m, d.n, count, Strided<T>{a + first * d.m, 1, d.m}, b + first * d.n,
                          d.n, StoreTo<T>{sums + c * d.m * d.n, d.n});
    }
  });
  sum_rows(sums, chunks, d.m * d.n, y);
  finish_rows(y, d.m, d.n, finish);
}

// One row of y, of n sums of kTerms terms. Everything by value: the compiler cannot tell that a
// store to y changes no pointer behind a reference, and would load them all again.
template <class T, int kTerms>
inline void multiply_terms(const T* a, std::int64_t a_stride, const T* b, std::int64_t n, T* y) {
  Vec<T> x[kTerms];
  detail::unrolled<kTerms>([&](auto p) MASKGRAD_INLINE { x[p] = Vec<T>(a[p * a_stride]); });
  std::int64_t j = 0;
  for (; j + kLanes<T> <= n; j += kLanes<T>) {
    Vec<T> sums(T{});
    detail::unrolled<kTerms>([&](auto p) MASKGRAD_INLINE {
      sums = xsimd::fma(x[p], Vec<T>::load_unaligned(b + p * n + j), sums);
    });
    sums.store_unaligned(y + j);
  }
  if (j == n) return;
  Vec<T> sums(T{});
  detail::unrolled<kTerms>([&](auto p) MASKGRAD_INLINE {
    sums = xsimd::fma(x[p], load_first(b + p * n + j, n - j), sums);
  });
  store_first(sums, y + j, n - j);
}

// A sum of few terms is over before registers pay: y is written row by row.
template <class T, int kTerms>
void multiply_few_terms(const MatrixProduct& d, const T* a, const T* b, T* y,
                        const RowFinish<T>& finish) {
  parallel_for(d.m, chunk_for(d.n * kTerms), [&](std::int64_t begin, std::int64_t end) {
    const Strided<T> left = left_of(d, a);
    for (std::int64_t i = begin; i < end; ++i) {
      multiply_terms<T, kTerms>(left.data + i * left.row, left.column, b, d.n, y + i * d.n);
    }
    finish_rows(y + begin * d.n, end - begin, d.n, finish);
  });
}

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

template <class T, int... kRows>
bool multiplied_few_rows(std::integer_sequence<int, kRows...>, const MatrixProduct& d, const T* a,
                         const T* b, T* y, const RowFinish<T>& finish) {
  return ((d.m == kRows && (multiply_few_rows<T, kRows>(d, a, b, y, finish), true)) || ...);
}

template <class T, int... kTerms>
bool multiplied_few_terms(std::integer_sequence<int, kTerms...>, const MatrixProduct& d, const T* a,
                          const T* b, T* y, const RowFinish<T>& finish) {
  return ((d.k == kTerms && (multiply_few_terms<T, kTerms>(d, a, b, y, finish), true)) || ...);
}

}  // namespace

template <class T>
void multiply_matrices(const MatrixProduct& d, const T* a, const T* b, T* y,
                       const RowFinish<T>& finish) {
  constexpr std::int64_t kSmall = 1024;  // elements of a y that few threads could share by rows
  constexpr std::integer_sequence<int, 1, 2, 3, 4> few;
  if (d.m == 0 || d.n == 0) return;
  if (belongs_to_blas(d)) return multiply_by_blas(d, a, b, y, finish);
  if (d.transpose_b) {
    const bool may_be_few = d.rows_are_samples && !d.transpose_a;
    if (may_be_few && multiplied_few_rows(few, d, a, b, y, finish)) return;
    return multiply_transposed(d, a, b, y, finish);
  }
  if (multiplied_few_terms(few, d, a, b, y, finish)) return;
  if (d.transpose_a && d.rows_per_sample > 0 && d.m * d.n <= kSmall) {
    return multiply_by_samples(d, a, b, y, finish);
  }
  multiply_rows(d, a, b, d.n, y, finish);
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
