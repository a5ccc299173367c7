// Products of matrices whose sums may be long. Internal to src/ops.
#pragma once

#include <algorithm>

#include <maskgrad/ops/cpu/gemm/batch_sum.hpp>
#include <maskgrad/ops/cpu/vector/vector.hpp>

namespace maskgrad::ops {

/// Elements of a matrix that a core's own cache holds.
inline constexpr std::int64_t kCached = 256 * 1024;

namespace detail {

// The rows of sum_products(), few enough for caches to hold their sums. Sums of b are one more row.
template <bool kPart, class T>
void sum_in_tree(std::int64_t rows, std::int64_t columns, const BatchSum& sum, const Strided<T>& a,
                 const T* b, std::int64_t stride, const Sums<T>& y) {
  PairwiseSum<T> tree((rows + (y.of_b ? 1 : 0)) * columns);
  for (std::int64_t i = 0; i < sum.groups(); ++i) {
    const auto& [first, terms] = sum.group(i);
    if (terms.length() == 0) continue;
    T* const to = tree.row();
    const Sums<T> of_group = {to, columns, Use::kStore, y.of_b ? to + rows * columns : nullptr};
    block_product<kPart>(rows, columns, terms, a.columns_from(first), b + first * stride, stride,
                         of_group);
    tree.add(i);
  }
  T* const total = tree.row();
  tree.finish(total);
  for (std::int64_t i = 0; i < rows; ++i) {
    const T* from = total + i * columns;
    T* const to = y.c + i * y.stride;
    y.use == Use::kAdd ? add_row(from, to, columns) : copy_row(from, to, columns);
  }
  if (y.of_b) copy_row(total + rows * columns, y.of_b, columns);
}

}  // namespace detail

/// Stores, or adds, `rows` rows times b [terms of `sum`, columns], its rows `stride` apart: y(i, j)
/// = sum over p of a(i, p) b(p, j). What it adds to comes last. kPart as for block_product().
template <bool kPart, class T>
void sum_products(std::int64_t rows, std::int64_t columns, const BatchSum& sum, const Strided<T>& a,
                  const T* b, std::int64_t stride, const Sums<T>& y) {
  if (sum.is_chain() || (y.use != Use::kContinue && sum.groups() == 1)) {
    return block_product<kPart>(rows, columns, sum.group(0).terms, a, b, stride, y);
  }
  const std::int64_t of_block =
      std::max<std::int64_t>(12, kCached / std::max<std::int64_t>(1, columns) / 12 * 12);
  for (std::int64_t i = 0; i < rows; i += of_block) {
    detail::sum_in_tree<kPart>(std::min(of_block, rows - i), columns, sum, a.rows_from(i), b,
                               stride,
                               Sums<T>{y.c + i * y.stride, y.stride, y.use, i ? nullptr : y.of_b});
  }
}

}  // namespace maskgrad::ops
