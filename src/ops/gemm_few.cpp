#include <algorithm>
#include <array>
#include <utility>

#include <maskgrad/ops/gemm_paths.hpp>
#include <maskgrad/ops/transpose.hpp>
#include <maskgrad/tensor/cpu/threads.hpp>

namespace maskgrad::ops {
namespace {

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
          [&](auto j) MASKGRAD_INLINE { sums[i][j] = multiply_add(left, right[j], sums[i][j]); });
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
  parallel_for(vectors, least_for(kLanes<T> * kRows * d.k), [&](std::int64_t v, std::int64_t end) {
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
void multiply_few_terms(const MatrixProduct& d, const T* a, const T* b, T* y,
                        const RowFinish<T>& finish) {
  parallel_for(d.m, least_for(d.n * kTerms), [&](std::int64_t begin, std::int64_t end) {
    const Strided<T> left = left_of(d, a);
    for (std::int64_t i = begin; i < end; ++i) {
      multiply_terms<T, kTerms>(left.data + i * left.row, left.column, b, d.n, y + i * d.n);
    }
    finish_rows(y + begin * d.n, end - begin, d.n, finish);
  });
}

template <class T, int... kRows>
bool one_of_few_rows(std::integer_sequence<int, kRows...>, const MatrixProduct& d, const T* a,
                     const T* b, T* y, const RowFinish<T>& finish) {
  return ((d.m == kRows && (multiply_few_rows<T, kRows>(d, a, b, y, finish), true)) || ...);
}

template <class T, int... kTerms>
bool one_of_few_terms(std::integer_sequence<int, kTerms...>, const MatrixProduct& d, const T* a,
                      const T* b, T* y, const RowFinish<T>& finish) {
  return ((d.k == kTerms && (multiply_few_terms<T, kTerms>(d, a, b, y, finish), true)) || ...);
}

constexpr std::integer_sequence<int, 1, 2, 3, 4> kFew;

}  // namespace

template <class T>
bool multiplied_few_rows(const MatrixProduct& d, const T* a, const T* b, T* y,
                         const RowFinish<T>& finish) {
  return one_of_few_rows(kFew, d, a, b, y, finish);
}

template <class T>
bool multiplied_few_terms(const MatrixProduct& d, const T* a, const T* b, T* y,
                          const RowFinish<T>& finish) {
  return one_of_few_terms(kFew, d, a, b, y, finish);
}

template bool multiplied_few_rows(const MatrixProduct&, const float*, const float*, float*,
                                  const RowFinish<float>&);
template bool multiplied_few_rows(const MatrixProduct&, const double*, const double*, double*,
                                  const RowFinish<double>&);
template bool multiplied_few_terms(const MatrixProduct&, const float*, const float*, float*,
                                   const RowFinish<float>&);
template bool multiplied_few_terms(const MatrixProduct&, const double*, const double*, double*,
                                   const RowFinish<double>&);

}  // namespace maskgrad::ops
