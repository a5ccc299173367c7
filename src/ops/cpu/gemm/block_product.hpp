// The one inner loop of all dense work: products of matrices that are in cache. Internal to
// src/ops.
//
// A block of rows times a few vectors of columns stays in registers while the inner dimension runs,
// so that nearly every instruction is a multiplication.
#pragma once

#include <cstdint>

#include <maskgrad/ops/cpu/gemm/sum_order.hpp>

namespace maskgrad::ops {

/// The left factor: element (i, p) is data[i * row + p * column].
template <class T>
struct Strided {
  const T* data;
  std::int64_t row, column;

  Strided rows_from(std::int64_t i) const { return {data + i * row, row, column}; }
  Strided columns_from(std::int64_t p) const { return {data + p * column, row, column}; }
};

/// What becomes of a sum.
enum class Use : std::uint8_t {
  kStore,
  kAdd,       // to what stands there
  kContinue,  // begins with what stands there, as if the chain had; for one chain only
};

/// Element (i, j) goes to c[i * stride + j]. Where `of_b` is given, the sums over all terms of b
/// itself, [columns], go there besides, in the order of a row of a that holds ones; kStore only.
template <class T>
struct Sums {
  T* c;
  std::int64_t stride;
  Use use = Use::kStore;
  T* of_b = nullptr;
};
template <class T>
Sums<T> store_to(T* c, std::int64_t stride) {
  return {c, stride};
}
template <class T>
Sums<T> add_to(T* c, std::int64_t stride) {
  return {c, stride, Use::kAdd};
}

/// c(i, j) = sum over p of a(i, p) b[p * stride + j], as `sums` says, for the `rows` of a, the
/// `columns` of b, and p in the order of `terms`. A row's sums do not depend on how many rows there
/// are. Where kPart, columns may end within a vector, of b and of c, and nothing beyond is read or
/// written; else they must be whole vectors. T is float or double.
template <bool kPart, class T>
void block_product(std::int64_t rows, std::int64_t columns, const Terms& terms, const Strided<T>& a,
                   const T* b, std::int64_t stride, const Sums<T>& sums);

}  // namespace maskgrad::ops
