#include <atomic>
#include <iterator>

#include <maskgrad/ops/cpu/gemm/gemm_parts.hpp>
#include <maskgrad/ops/cpu/gemm/gemm_paths.hpp>
#include <maskgrad/tensor/cpu/pool_allocator.hpp>

namespace maskgrad::ops {
namespace {

BatchSum sum_of(const MatrixProduct& d) {
  if (!d.transpose_a || d.rows_per_sample == 0) return d.k;
  return {d.k / d.rows_per_sample, d.rows_per_sample};
}

// Rows [begin, end) of y, with b [k, n], its rows `stride` apart.
template <class T>
void multiply_and_finish(const MatrixProduct& d, std::int64_t begin, std::int64_t end, const T* a,
                         const T* b, std::int64_t stride, T* y, const RowFinish<T>& finish) {
  T* const rows = y + begin * d.n;
  const Sums<T> sums = {rows, d.n, Use::kStore, begin == 0 ? finish.sums_of_b : nullptr};
  sum_products<true>(end - begin, d.n, sum_of(d), left_of(d, a).rows_from(begin), b, stride, sums);
  finish_rows(rows, end - begin, d.n, finish);
}

bool is_long_sum(const MatrixProduct& d) { return d.transpose_a && sum_of(d).groups() > 1; }

// With b [k, n] as it stands. Each part reads all of b, so that those of long sums are large.
template <class T>
void multiply_rows(const MatrixProduct& d, const T* a, const T* b, T* y,
                   const RowFinish<T>& finish) {
  constexpr std::int64_t kOfLongSum = 96;  // rows of a part
  const std::int64_t parts =
      is_long_sum(d) ? parts_of_longest(d.m, kOfLongSum) : parts_of_rows(d.m, d.n * d.k);
  parallel_for_parts(d.m, parts, [&](std::int64_t begin, std::int64_t end) {
    multiply_and_finish(d, begin, end, a, b, d.n, y, finish);
  });
}

// The same of long sums whose b is the larger factor: threads share its columns, in whole lines of
// a cache, and each reads its own of them once.
inline constexpr std::int64_t kManyColumns = 256;
template <class T>
void multiply_columns(const MatrixProduct& d, const T* a, const T* b, T* y,
                      const RowFinish<T>& finish) {
  constexpr std::int64_t kLine = 64 / sizeof(T);
  const std::int64_t lines = (d.n + kLine - 1) / kLine,
                     parts = parts_of_longest(lines, kManyColumns / kLine);
  parallel_for_parts(lines, parts, [&](std::int64_t line, std::int64_t last) {
    const std::int64_t begin = line * kLine, end = std::min(last * kLine, d.n);
    T* const of_b = finish.sums_of_b ? finish.sums_of_b + begin : nullptr;
    sum_products<true>(d.m, end - begin, sum_of(d), left_of(d, a), b + begin, d.n,
                       Sums<T>{y + begin, d.n, Use::kStore, of_b});
    const RowFinish<T> of_columns = {finish.bias ? finish.bias + begin : nullptr, finish.relu};
    for (std::int64_t i = 0; i < d.m; ++i) {
      finish_rows(y + i * d.n + begin, 1, end - begin, of_columns);
    }
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

// A small y that sums over many rows.
template <class T>
void multiply_by_groups(const MatrixProduct& d, const T* a, const T* b, T* y,
                        const RowFinish<T>& finish) {
  sum_groups(sum_of(d), d.m * d.n * d.k, d.m * d.n, y, [&](const BatchSum::Group& group, T* sums) {
    block_product<true>(d.m, d.n, group.terms, left_of(d, a).columns_from(group.first),
                        b + group.first * d.n, d.n, store_to(sums, d.n));
  });
  finish_rows(y, d.m, d.n, finish);
}

// The ways that a product can take.
enum class Path {
  kNothing,  // y has no elements
  kBlas,
  kFewRows,
  kTransposed,
  kFewTerms,
  kGroups,
  kColumns,
  kRows
};

Path path_of(const MatrixProduct& d) {
  if (d.m == 0 || d.n == 0) return Path::kNothing;
  if (belongs_to_blas(d)) return Path::kBlas;
  const bool is_plain = sum_of(d).samples() == 1, is_long = is_long_sum(d);
  if (d.transpose_b) return is_plain && is_few(d.m) ? Path::kFewRows : Path::kTransposed;
  if (is_plain && is_few(d.k)) return Path::kFewTerms;
  if (is_long && d.m * d.n <= kFewSums) return Path::kGroups;
  return is_long && d.n >= std::max(d.m, kManyColumns) ? Path::kColumns : Path::kRows;
}

// Whether that way adds up the rows of b in passing, if there are any.
bool sums_in_passing(Path path) { return path == Path::kColumns || path == Path::kRows; }

template <class T>
void multiply(Path path, const MatrixProduct& d, const T* a, const T* b, T* y,
              const RowFinish<T>& finish) {
  switch (path) {
    case Path::kNothing:
      return;
    case Path::kBlas:
      return multiply_by_blas(d, a, b, y, finish);
    case Path::kFewRows:
      return multiply_few_rows(d, a, b, y, finish);
    case Path::kTransposed:
      return multiply_transposed(d, a, b, y, finish);
    case Path::kFewTerms:
      return multiply_few_terms(d, a, b, y, finish);
    case Path::kGroups:
      return multiply_by_groups(d, a, b, y, finish);
    case Path::kColumns:
      return multiply_columns(d, a, b, y, finish);
    case Path::kRows:
      return multiply_rows(d, a, b, y, finish);
  }
}

}  // namespace

template <class T>
void multiply_matrices(const MatrixProduct& d, const T* a, const T* b, T* y,
                       const RowFinish<T>& finish) {
  const Path path = path_of(d);
  const bool in_passing = sums_in_passing(path) && d.k > 0;
  if (finish.sums_of_b && !in_passing) sum_columns(sum_of(d), b, d.n, finish.sums_of_b);
  multiply(path, d, a, b, y, finish);
}

template <class T>
void sum_columns(const BatchSum& sum, const T* x, std::int64_t columns, T* sums) {
  sum_groups(sum, sum.terms() * columns, columns, sums, [&](const BatchSum::Group& group, T* to) {
    const Sums<T> of_b = {nullptr, columns, Use::kStore, to};
    block_product<true>(0, columns, group.terms, Strided<T>{nullptr, 0, 0},
                        x + group.first * columns, columns, of_b);
  });
}

template void sum_columns(const BatchSum&, const float*, std::int64_t, float*);
template void sum_columns(const BatchSum&, const double*, std::int64_t, double*);
template void multiply_matrices(const MatrixProduct&, const float*, const float*, float*,
                                const RowFinish<float>&);
template void multiply_matrices(const MatrixProduct&, const double*, const double*, double*,
                                const RowFinish<double>&);

}  // namespace maskgrad::ops
