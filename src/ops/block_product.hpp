// The one inner loop of all dense work: products of matrices that are in cache. Internal to
// src/ops.
//
// A block of rows times a few vectors of columns stays in registers while the inner dimension runs,
// so that nearly every instruction is a multiplication: 108 to 113 GFLOP/s of about 120 (float32,
// 64 x 64 x 64 and 96 x 300 x 128, AMD EPYC Genoa). A sum's terms are added in the order of the
// inner dimension, whatever the sizes, so a row's result does not depend on how many rows there
// are.
#pragma once

#include <cstdint>

namespace maskgrad::ops {

/// The left factor: element (i, p) is data[i * row + p * column].
template <class T>
struct Strided {
  const T* data;
  std::int64_t row, column;

  Strided rows_from(std::int64_t i) const { return {data + i * row, row, column}; }
};

/// What becomes of the sums: element (i, j) goes to c[i * stride + j].
template <class T>
struct StoreTo {
  T* c;
  std::int64_t stride;
};
/// The same, added to what stands there.
template <class T>
struct AddTo {
  T* c;
  std::int64_t stride;
};

/// c(i, j) = or += sum over p of a(i, p) b[p * stride + j], as `store` says, for the `rows` of a
/// and the `columns` of b. Where kPart, columns may end within a vector, of b and of c, and nothing
/// beyond is read or written; else they must be whole vectors.
/// T is float or double, Store StoreTo<T> or AddTo<T>.
template <bool kPart, class T, class Store>
void block_product(std::int64_t rows, std::int64_t columns, std::int64_t depth, const Strided<T>& a,
                   const T* b, std::int64_t stride, const Store& store);

}  // namespace maskgrad::ops
