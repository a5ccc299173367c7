// Products of matrices in parts of their rows, which threads compute side by side. Internal to
// gemm.
#pragma once

#include <algorithm>

#include <maskgrad/ops/cpu/gemm/sum_products.hpp>
#include <maskgrad/ops/cpu/vector/transpose.hpp>
#include <maskgrad/tensor/cpu/own_lines.hpp>
#include <maskgrad/tensor/tensor.hpp>

namespace maskgrad::ops {

/// Into how many parts `rows` are cut that take `work_each` multiplications: an even number of
/// equal ones, so that two threads share them, of two blocks of registers or more, and of many
/// blocks where no cache holds the matrix that they are multiplied with.
constexpr std::int64_t parts_of_rows(std::int64_t rows, std::int64_t work_each) {
  const std::int64_t block = work_each > kCached ? 96 : 12;
  const std::int64_t least = (least_for(work_each) + block - 1) / block * block;
  return rows <= least ? 1 : (rows + 2 * least - 1) / (2 * least) * 2;
}

/// Into how many equal parts `count` things are cut of `most` at most, or one of few: an even
/// number of them, so that two threads share them.
constexpr std::int64_t parts_of_longest(std::int64_t count, std::int64_t most) {
  return count < most / 2 ? 1 : (count + 2 * most - 1) / (2 * most) * 2;
}

/// b [n, k] -> [k, n in whole vectors], by all threads together.
template <class T>
Tensor transposed_by_all(const T* b, std::int64_t n, std::int64_t k) {
  const std::int64_t stride = whole_vectors<T>(n);
  Tensor transposed = Tensor::empty({k, stride}, dtype_of<T>);
  T* const columns = transposed.data<T>();
  parallel_for(stride / kLanes<T>, 2, [&](std::int64_t v, std::int64_t last) {
    const std::int64_t begin = v * kLanes<T>, end = std::min(last * kLanes<T>, n);
    for (std::int64_t p = 0; p < k; ++p) own_lines(columns + p * stride + begin, end - begin);
    transpose<true>(b + begin * k, k, end - begin, k, T{1}, columns + begin, stride);
  });
  return transposed;
}

}  // namespace maskgrad::ops
