#include <maskgrad/ops/cpu/gemm/gemm_each.hpp>
#include <maskgrad/ops/cpu/gemm/gemm_parts.hpp>
#include <maskgrad/ops/cpu/gemm/gemm_paths.hpp>
#include <maskgrad/tensor/cpu/pool_allocator.hpp>

namespace maskgrad::ops {
namespace {

// Each part reads all matrices. So parts have more rows, where there are many, if the nearest cache
// does not hold the matrices.
std::int64_t parts_of(const RowsTimesEach& d) {
  constexpr std::int64_t kNear = 8 * 1024, kMost = 96, kParts = 8;
  const std::int64_t work = d.matrices * d.n * d.k, parts = parts_of_rows(d.rows(), work);
  if (work <= kNear || parts <= kParts) return parts;
  return std::max(kParts, parts_of_longest(d.rows(), kMost));
}

// Rows [begin, end) of dx, with w[i]^T [n, stride].
template <class T>
void multiply_transposed_part(const RowsTimesEach& d, std::int64_t begin, std::int64_t end,
                              const T* g, const T* const* transposed, T* dx) {
  const std::int64_t rows = end - begin, stride = whole_vectors<T>(d.k);
  T* const to = dx + begin * d.k;
  for (std::int64_t i = 0; i < d.matrices; ++i) {
    const Strided<T> left = {g + (i * d.rows() + begin) * d.n, d.n, 1};
    sum_products<true>(rows, d.k, d.n, left, transposed[i], stride,
                       i == 0 ? store_to(to, d.k) : add_to(to, d.k));
  }
}

// All w[i]^T, and where they stand.
template <class T>
struct Transposed {
  Transposed(const RowsTimesEach& d, const T* const* w) {
    for (std::int64_t i = 0; i < d.matrices; ++i) {
      memory.push_back(transposed_by_all(w[i], d.k, d.n));
      data.push_back(memory.back().template data<T>());
    }
  }

  PoolVector<Tensor> memory;
  PoolVector<const T*> data;
};

}  // namespace

template <class T>
void multiply_by_each(const RowsTimesEach& d, const T* x, const T* const* w, const T* const* biases,
                      T* y) {
  parallel_for_parts(d.rows(), parts_of(d), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = 0; i < d.matrices; ++i) {
      T* const to = y + (i * d.rows() + begin) * d.n;
      sum_products<true>(end - begin, d.n, d.k, Strided<T>{x + begin * d.k, d.k, 1}, w[i], d.n,
                         store_to(to, d.n));
      finish_rows(to, end - begin, d.n, RowFinish<T>{biases ? biases[i] : nullptr});
    }
  });
}

template <class T>
void multiply_by_each_transposed(const RowsTimesEach& d, const T* g, const T* const* w, T* dx) {
  const Transposed<T> transposed(d, w);
  parallel_for_parts(d.rows(), parts_of(d), [&](std::int64_t begin, std::int64_t end) {
    multiply_transposed_part(d, begin, end, g, transposed.data.data(), dx);
  });
}

bool gradients_share_a_loop(const RowsTimesEach& d) {
  return d.k * d.n > 0 && d.k * d.n <= kFewSums && d.sum().groups() > 1;
}

template <class T>
void multiply_both_gradients(const RowsTimesEach& d, const T* x, const T* const* w, const T* g,
                             T* dx, T* const* dw) {
  const Transposed<T> transposed(d, w);
  const std::int64_t size = d.k * d.n;
  Tensor sums = Tensor::empty({d.matrices, size}, dtype_of<T>);
  const auto sum_group = [&](const BatchSum::Group& group, T* partial) {
    group.for_each_run([&](std::int64_t begin, std::int64_t end) {
      multiply_transposed_part(d, begin, end, g, transposed.data.data(), dx);
    });
    for (std::int64_t i = 0; i < d.matrices; ++i) {
      block_product<true>(d.k, d.n, group.terms, Strided<T>{x + group.first * d.k, 1, d.k},
                          g + (i * d.rows() + group.first) * d.n, d.n,
                          store_to(partial + i * size, d.n));
    }
  };
  sum_groups(d.sum(), 2 * d.matrices * d.rows() * size, sums.numel(), sums.data<T>(), sum_group);
  for (std::int64_t i = 0; i < d.matrices; ++i) copy_row(sums.data<T>() + i * size, dw[i], size);
}

template void multiply_by_each(const RowsTimesEach&, const float*, const float* const*,
                               const float* const*, float*);
template void multiply_by_each(const RowsTimesEach&, const double*, const double* const*,
                               const double* const*, double*);
template void multiply_by_each_transposed(const RowsTimesEach&, const float*, const float* const*,
                                          float*);
template void multiply_by_each_transposed(const RowsTimesEach&, const double*, const double* const*,
                                          double*);
template void multiply_both_gradients(const RowsTimesEach&, const float*, const float* const*,
                                      const float*, float*, float* const*);
template void multiply_both_gradients(const RowsTimesEach&, const double*, const double* const*,
                                      const double*, double*, double* const*);

}  // namespace maskgrad::ops
