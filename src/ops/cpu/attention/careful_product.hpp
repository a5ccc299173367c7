// Products that skip what is masked, for numbers that 0 would not hide. Internal to attention.
//
// A masked pair has weight 0, and 0 times anything finite adds nothing: products over tables with
// zeros are exact. 0 times an Inf or NaN, which an unmasked pair may see, is NaN; tiles that hold
// any are computed by these, with the same bits where everything is finite.
#pragma once

#include <algorithm>

#include <maskgrad/ops/cpu/gemm/block_product.hpp>
#include <maskgrad/ops/cpu/vector/vector.hpp>

namespace maskgrad::ops {

namespace detail {

// One chain of terms into lanes of c, used as block_product() does: each(sum) adds the terms.
template <class T, class Each>
void use_chain(T* c, std::int64_t count, Use use, Each each) {
  const Vec<T> before = use == Use::kStore ? Vec<T>(T{}) : load_first(c, count);
  const Vec<T> sum = each(use == Use::kContinue ? before : Vec<T>(T{}));
  store_first(use == Use::kAdd ? before + sum : sum, c, count);
}

}  // namespace detail

/// c(i, j), as `c` says, from the sum over p with keep(p, j) of a(i, p) b(p, j): one chain. b and
/// keep [depth][columns], columns whole vectors.
template <class T>
void product_of_kept_columns(std::int64_t rows, std::int64_t columns, std::int64_t depth,
                             const Strided<T>& a, const T* b, const T* keep, const Sums<T>& c) {
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; j += kLanes<T>) {
      detail::use_chain(c.c + i * c.stride + j, kLanes<T>, c.use, [&](Vec<T> sum) {
        for (std::int64_t p = 0; p < depth; ++p) {
          const Vec<T> x(a.data[i * a.row + p * a.column]);
          const auto kept = Vec<T>::load_unaligned(keep + p * columns + j) != Vec<T>(T{});
          sum = xsimd::select(
              kept, multiply_add(x, Vec<T>::load_unaligned(b + p * columns + j), sum), sum);
        }
        return sum;
      });
    }
  }
}

/// c(i, j), as `c` says, from the sum over p with keep(i, p) of a(i, p) b[p * b_stride + j]: one
/// chain. a and keep [rows][stride].
template <class T>
void product_of_kept_rows(std::int64_t rows, std::int64_t columns, std::int64_t depth, const T* a,
                          const T* keep, std::int64_t stride, const T* b, std::int64_t b_stride,
                          const Sums<T>& c) {
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; j += kLanes<T>) {
      const std::int64_t count = std::min(kLanes<T>, columns - j);
      detail::use_chain(c.c + i * c.stride + j, count, c.use, [&](Vec<T> sum) {
        for (std::int64_t p = 0; p < depth; ++p) {
          if (keep[i * stride + p] == T{}) continue;
          const Vec<T> of_b = load_first(b + p * b_stride + j, count);
          sum = multiply_add(Vec<T>(a[i * stride + p]), of_b, sum);
        }
        return sum;
      });
    }
  }
}

}  // namespace maskgrad::ops
