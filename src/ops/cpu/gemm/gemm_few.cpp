#include <algorithm>
#include <array>
#include <utility>

#include <maskgrad/ops/cpu/gemm/batch_sum.hpp>
#include <maskgrad/ops/cpu/gemm/gemm_paths.hpp>
#include <maskgrad/ops/cpu/vector/transpose.hpp>
#include <maskgrad/tensor/cpu/pool_allocator.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>

namespace maskgrad::ops {
namespace {

// Rows of a, `stride` apart, whose terms lie side by side.
template <class T>
struct Rows {
  const T* a;
  std::int64_t stride;
};

// A vector of columns of y, or fewer: rows of b, `stride` apart.
template <class T>
struct Columns {
  const T* b;
  std::int64_t stride, count;
};

// sums[i] += sum of a[i][p] b[j][p] over p = 0 .. terms-1, for a vector of j: a square of b, or the
// first columns of one, is transposed in registers. Behind the last row of b that one is taken
// again.
template <bool kWhole, int kRows, class T>
[[gnu::always_inline]] inline void add_square(const T* const (&a)[kRows], std::int64_t at,
                                              const Columns<T>& columns, std::int64_t terms,
                                              Vec<T> (&sums)[kRows]) {
  Partials<T> square;
  const T* b = columns.b + at;
  detail::unrolled<kLanes<T>>([&](auto j) MASKGRAD_INLINE {
    square[j] = kWhole ? Vec<T>::load_unaligned(b) : load_first(b, terms);
    if (j + 1 < columns.count) b += columns.stride;
  });
  detail::transpose_registers<T>(square);
  detail::unrolled<kLanes<T>>([&](auto p) MASKGRAD_INLINE {
    if (!kWhole && p >= terms) return;
    detail::unrolled<kRows>([&](auto i) MASKGRAD_INLINE {
      sums[i] = multiply_add(Vec<T>(a[i][at + p]), square[p], sums[i]);
    });
  });
}

// The sums of a chain, which begins at term `at`, for [kRows] vectors of columns.
template <int kRows, class T>
[[gnu::always_inline]] inline void sum_chain(const T* const (&a)[kRows], std::int64_t at,
                                             const Columns<T>& columns, std::int64_t terms,
                                             Vec<T> (&sums)[kRows]) {
  detail::unrolled<kRows>([&](auto i) MASKGRAD_INLINE { sums[i] = Vec<T>(T{}); });
  for (; terms >= kLanes<T>; terms -= kLanes<T>, at += kLanes<T>) {
    add_square<true>(a, at, columns, kLanes<T>, sums);
  }
  if (terms > 0) add_square<false>(a, at, columns, terms, sums);
}

// The sums of a group of chains, rows of one vector each, which begin `stride` apart.
template <int kRows, class T>
[[gnu::noinline]] void sum_group(Rows<T> rows, Columns<T> columns, std::int64_t terms, T* to,
                                 std::int64_t stride = kLanes<T>) {
  const T* a[kRows];
  for (int i = 0; i < kRows; ++i) a[i] = rows.a + i * rows.stride;
  Vec<T> sums[kRows], chain[kRows];
  sum_chain(a, 0, columns, std::min(kTermsOfChain, terms), sums);
  for (std::int64_t at = kTermsOfChain; at < terms; at += kTermsOfChain) {
    sum_chain(a, at, columns, std::min(kTermsOfChain, terms - at), chain);
    detail::unrolled<kRows>([&](auto i) MASKGRAD_INLINE { sums[i] += chain[i]; });
  }
  detail::unrolled<kRows>([&](auto i)
                              MASKGRAD_INLINE { sums[i].store_unaligned(to + i * stride); });
}

template <int kRows, class T>
void sum_all_groups(Rows<T> rows, Columns<T> columns, std::int64_t k, T* sums) {
  constexpr std::int64_t kTerms = kTermsOfChain * kChainsOfGroup;
  if (k <= kTerms) return sum_group<kRows>(rows, columns, k, sums);
  PairwiseSum<T> tree(kRows * kLanes<T>);
  for (std::int64_t p = 0; p < k; p += kTerms, rows.a += kTerms, columns.b += kTerms) {
    sum_group<kRows>(rows, columns, std::min(kTerms, k - p), tree.row());
    tree.add();
  }
  tree.finish(sums);
}

// A few rows with b [n, k]: transposing b would take longer than the product.
template <class T, int kRows>
void multiply_rows_of(const MatrixProduct& d, const T* a, const T* b, T* y,
                      const RowFinish<T>& finish) {
  const Strided<T> left = left_of(d, a);
  PoolVector<T> packed;
  Rows<T> rows = {left.data, left.row};
  if (left.column != 1) {
    packed.reserve(static_cast<std::size_t>(kRows * d.k));
    for (std::int64_t i = 0; i < kRows; ++i) {
      for (std::int64_t p = 0; p < d.k; ++p) {
        packed.push_back(left.data[i * left.row + p * left.column]);
      }
    }
    rows = {packed.data(), d.k};
  }
  const std::int64_t vectors = (d.n + kLanes<T> - 1) / kLanes<T>;
  parallel_for(vectors, least_for(kLanes<T> * kRows * d.k), [&](std::int64_t v, std::int64_t end) {
    std::array<T, static_cast<std::size_t>(kRows * kLanes<T>)> sums;
    for (; v < end; ++v) {
      const std::int64_t j = v * kLanes<T>;
      const Columns<T> columns = {b + j * d.k, d.k, std::min(kLanes<T>, d.n - j)};
      if (d.k <= kTermsOfChain * kChainsOfGroup && columns.count == kLanes<T>) {
        sum_group<kRows>(rows, columns, d.k, y + j, d.n);
        continue;
      }
      sum_all_groups<kRows>(rows, columns, d.k, sums.data());
      for (std::int64_t i = 0; i < kRows; ++i) {
        copy_row(sums.data() + i * kLanes<T>, y + i * d.n + j, columns.count);
      }
    }
  });
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
      sums = multiply_add(x[p], Vec<T>::load_unaligned(b + p * n + j), sums);
    });
    sums.store_unaligned(y + j);
  }
  if (j == n) return;
  Vec<T> sums(T{});
  detail::unrolled<kTerms>([&](auto p) MASKGRAD_INLINE {
    sums = multiply_add(x[p], load_first(b + p * n + j, n - j), sums);
  });
  store_first(sums, y + j, n - j);
}

// A sum of few terms is over before registers pay: y is written row by row.
template <class T, int kTerms>
void multiply_terms_of(const MatrixProduct& d, const T* a, const T* b, T* y,
                       const RowFinish<T>& finish) {
  parallel_for(d.m, least_for(d.n * kTerms), [&](std::int64_t begin, std::int64_t end) {
    const Strided<T> left = left_of(d, a);
    for (std::int64_t i = begin; i < end; ++i) {
      multiply_terms<T, kTerms>(left.data + i * left.row, left.column, b, d.n, y + i * d.n);
    }
    finish_rows(y + begin * d.n, end - begin, d.n, finish);
  });
}

// Calls f with `count`, one of few, as a constant.
template <class F>
void with_few(std::int64_t count, F f) {
  static_assert(is_few(4) && !is_few(5));
  switch (count) {
    case 1:
      return f(std::integral_constant<int, 1>());
    case 2:
      return f(std::integral_constant<int, 2>());
    case 3:
      return f(std::integral_constant<int, 3>());
    default:
      return f(std::integral_constant<int, 4>());
  }
}

}  // namespace

template <class T>
void multiply_few_rows(const MatrixProduct& d, const T* a, const T* b, T* y,
                       const RowFinish<T>& finish) {
  with_few(d.m, [&](auto rows) { multiply_rows_of<T, rows>(d, a, b, y, finish); });
}

template <class T>
void multiply_few_terms(const MatrixProduct& d, const T* a, const T* b, T* y,
                        const RowFinish<T>& finish) {
  with_few(d.k, [&](auto terms) { multiply_terms_of<T, terms>(d, a, b, y, finish); });
}

template void multiply_few_rows(const MatrixProduct&, const float*, const float*, float*,
                                const RowFinish<float>&);
template void multiply_few_rows(const MatrixProduct&, const double*, const double*, double*,
                                const RowFinish<double>&);
template void multiply_few_terms(const MatrixProduct&, const float*, const float*, float*,
                                 const RowFinish<float>&);
template void multiply_few_terms(const MatrixProduct&, const double*, const double*, double*,
                                 const RowFinish<double>&);

}  // namespace maskgrad::ops
