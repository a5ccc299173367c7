// Products that skip what is masked, for numbers that 0 would not hide. Internal to attention.
//
// A masked pair has weight 0, and 0 times anything finite adds nothing: products over tables with
// zeros are exact. 0 times an Inf or NaN, which an unmasked pair may see, is NaN; tiles that hold
// any are computed by these, with the same bits where everything is finite.
#pragma once

#include <algorithm>

#include <maskgrad/ops/block_product.hpp>
#include <maskgrad/ops/vector.hpp>

namespace maskgrad::ops {

/// c(i, j) += sum over p with keep(p, j) of a(i, p) b(p, j); b and keep [depth][columns], columns
/// whole vectors, c [rows][stride].
template <class T>
void add_product_of_kept_columns(std::int64_t rows, std::int64_t columns, std::int64_t depth,
                                 const Strided<T>& a, const T* b, const T* keep, T* c,
                                 std::int64_t stride) {
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; j += kLanes<T>) {
      T* const to = c + i * stride + j;
      Vec<T> sum = Vec<T>::load_unaligned(to);
      for (std::int64_t p = 0; p < depth; ++p) {
        const Vec<T> x(a.data[i * a.row + p * a.column]);
        const auto kept = Vec<T>::load_unaligned(keep + p * columns + j) != Vec<T>(T{});
        sum = xsimd::select(kept, multiply_add(x, Vec<T>::load_unaligned(b + p * columns + j), sum),
                            sum);
      }
      sum.store_unaligned(to);
    }
  }
}

/// c(i, j) += sum over p with keep(i, p) of a(i, p) b(p, j); a and keep [rows][stride], b
/// [depth][columns], c [rows][columns].
template <class T>
void add_product_of_kept_rows(std::int64_t rows, std::int64_t columns, std::int64_t depth,
                              const T* a, const T* keep, std::int64_t stride, const T* b, T* c) {
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; j += kLanes<T>) {
      const std::int64_t count = std::min(kLanes<T>, columns - j);
      T* const to = c + i * columns + j;
      Vec<T> sum = load_first(to, count);
      for (std::int64_t p = 0; p < depth; ++p) {
        if (keep[i * stride + p] == T{}) continue;
        sum = multiply_add(Vec<T>(a[i * stride + p]), load_first(b + p * columns + j, count), sum);
      }
      store_first(sum, to, count);
    }
  }
}

}  // namespace maskgrad::ops
