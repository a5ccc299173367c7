// The one inner loop of all dense work: products of matrices that are in cache. Internal to
// src/ops.
//
// A block of rows times a few vectors of columns stays in registers while the inner dimension runs,
// so that nearly every instruction is a multiplication: 108 to 113 GFLOP/s of about 120 (float32,
// 64 x 64 x 64 and 96 x 300 x 128, AMD EPYC Genoa). A sum's terms are added in the order of the
// inner dimension, whatever the sizes, so a row's result does not depend on how many rows there
// are.
#pragma once

#include <algorithm>
#include <utility>

#include <maskgrad/ops/vector.hpp>

namespace maskgrad::ops {

/// The left factor: element (i, p) is data[i * row + p * column].
template <class T>
struct Strided {
  const T* data;
  std::int64_t row, column;

  Strided rows_from(std::int64_t i) const { return {data + i * row, row, column}; }
};

// Where the sums of row i from column j on start, and what becomes of them. Where kPart, only the
// first `last` columns of the vector exist. Always inlined and without a branch: otherwise GCC
// moves all sums from registers into memory, and the product takes twice the time.
template <class T>
struct StoreTo {
  T* c;
  std::int64_t stride;

  template <bool kPart>
  [[gnu::always_inline]] Vec<T> start(std::int64_t, std::int64_t, std::int64_t) const {
    return Vec<T>(T{});
  }
  template <bool kPart>
  [[gnu::always_inline]] void store(std::int64_t i, std::int64_t j, std::int64_t last,
                                    const Vec<T>& sums) const {
    T* to = c + i * stride + j;
    if constexpr (kPart) {
      store_first(sums, to, last);
    } else {
      sums.store_unaligned(to);
    }
  }
};
template <class T>
struct AddTo {
  T* c;
  std::int64_t stride;

  template <bool kPart>
  [[gnu::always_inline]] Vec<T> start(std::int64_t i, std::int64_t j, std::int64_t last) const {
    const T* from = c + i * stride + j;
    if constexpr (kPart) return load_first(from, last);
    return Vec<T>::load_unaligned(from);
  }
  template <bool kPart>
  [[gnu::always_inline]] void store(std::int64_t i, std::int64_t j, std::int64_t last,
                                    const Vec<T>& sums) const {
    StoreTo<T>{c, stride}.template store<kPart>(i, j, last, sums);
  }
};

namespace detail {

#if XSIMD_WITH_AVX512F || XSIMD_WITH_NEON64
inline constexpr int kRegisters = 32;
#else
inline constexpr int kRegisters = 16;
#endif
inline constexpr int kWidest = kRegisters == 32 ? 4 : 2;  // vectors of columns

// Rows that go with `columns` vectors: sums, a row of b and an element of a fill the registers.
// Twelve rows beside two vectors would fit too, but run at half the speed: their twelve addresses
// do not.
constexpr int rows_beside(int columns) {
  if (kRegisters == 16) return columns == 2 ? 6 : 8;
  return columns == 4 ? 6 : columns == 2 ? 10 : 12;
}

// kPart: the last vector has only `last` columns in b.
template <class T, int kRows, int kColumns, bool kPart, class Store>
inline void product_in_registers(const Strided<T>& a, const T* b, std::int64_t stride,
                                 std::int64_t last, std::int64_t depth, std::int64_t i,
                                 std::int64_t j, const Store& store) {
  // Whether the vector of columns c ends within a vector.
  const auto part = [](auto c) {
    return std::bool_constant<kPart&& decltype(c)::value == kColumns - 1>();
  };
  Vec<T> sums[kRows][kColumns];
  unrolled<kRows>([&](auto r) MASKGRAD_INLINE {
    unrolled<kColumns>([&](auto c) MASKGRAD_INLINE {
      sums[r][c] = store.template start<decltype(part(c))::value>(i + r, j + c * kLanes<T>, last);
    });
  });
  const T* left = a.data + i * a.row;
  const T* right = b + j;
  for (std::int64_t p = 0; p < depth; ++p, left += a.column, right += stride) {
    Vec<T> row[kColumns];
    unrolled<kColumns>([&](auto c) MASKGRAD_INLINE {
      const T* from = right + c * kLanes<T>;
      if constexpr (decltype(part(c))::value) {
        row[c] = load_first(from, last);
      } else {
        row[c] = Vec<T>::load_unaligned(from);
      }
    });
    unrolled<kRows>([&](auto r) MASKGRAD_INLINE {
      const Vec<T> x(left[r * a.row]);
      unrolled<kColumns>([&](auto c)
                             MASKGRAD_INLINE { sums[r][c] = xsimd::fma(x, row[c], sums[r][c]); });
    });
  }
  unrolled<kRows>([&](auto r) MASKGRAD_INLINE {
    unrolled<kColumns>([&](auto c) MASKGRAD_INLINE {
      store.template store<decltype(part(c))::value>(i + r, j + c * kLanes<T>, last, sums[r][c]);
    });
  });
}

// `blocks` times `size` <= kMost rows, from row i on.
template <class T, int kMost, int kColumns, bool kPart, class Store>
void product_blocks(std::int64_t blocks, std::int64_t size, std::int64_t i, const Strided<T>& a,
                    const T* b, std::int64_t stride, std::int64_t last, std::int64_t depth,
                    std::int64_t j, const Store& store) {
  if (size == kMost) {
    for (; blocks > 0; --blocks, i += kMost) {
      product_in_registers<T, kMost, kColumns, kPart>(a, b, stride, last, depth, i, j, store);
    }
  } else if constexpr (kMost > 1) {
    product_blocks<T, kMost - 1, kColumns, kPart>(blocks, size, i, a, b, stride, last, depth, j,
                                                  store);
  }
}

// Blocks of as many rows as registers hold, or evenly fewer: the last block of a few rows would
// leave registers unused.
template <class T, int kColumns, bool kPart, class Store>
void product_panel(std::int64_t rows, const Strided<T>& a, const T* b, std::int64_t stride,
                   std::int64_t last, std::int64_t depth, std::int64_t j, const Store& store) {
  constexpr int kMost = rows_beside(kColumns);
  if (rows == 0) return;
  const std::int64_t blocks = (rows + kMost - 1) / kMost, size = (rows + blocks - 1) / blocks;
  const std::int64_t smaller = blocks * size - rows, larger = blocks - smaller;
  product_blocks<T, kMost, kColumns, kPart>(larger, size, 0, a, b, stride, last, depth, j, store);
  product_blocks<T, kMost, kColumns, kPart>(smaller, size - 1, larger * size, a, b, stride, last,
                                            depth, j, store);
}

// The last `left` columns, fewer than 2 kColumns vectors of them. Halves, as three vectors beside
// eight rows run at two thirds of the speed.
template <class T, int kColumns, bool kPart, class Store>
void product_last_panels(std::int64_t left, std::int64_t rows, const Strided<T>& a, const T* b,
                         std::int64_t stride, std::int64_t depth, std::int64_t j,
                         const Store& store) {
  constexpr std::int64_t kWidth = kColumns * kLanes<T>;
  if (left > kWidth - kLanes<T>) {
    const std::int64_t last = std::min(kLanes<T>, left - (kWidth - kLanes<T>));
    if (kPart && last < kLanes<T>) {
      return product_panel<T, kColumns, true>(rows, a, b, stride, last, depth, j, store);
    }
    product_panel<T, kColumns, false>(rows, a, b, stride, 0, depth, j, store);
    left -= kWidth;
    j += kWidth;
  }
  if (left == 0) return;
  if constexpr (kColumns > 1) {
    product_last_panels<T, kColumns / 2, kPart>(left, rows, a, b, stride, depth, j, store);
  } else {
    product_last_panels<T, 1, kPart>(left, rows, a, b, stride, depth, j, store);
  }
}

}  // namespace detail

/// c(i, j) = or += sum over p of a(i, p) b[p * stride + j], as `store` says, for the `rows` of a
/// and the `columns` of b. Where kPart, columns may end within a vector, of b and of c, and nothing
/// beyond is read or written; else they must be whole vectors.
template <bool kPart, class T, class Store>
void block_product(std::int64_t rows, std::int64_t columns, std::int64_t depth, const Strided<T>& a,
                   const T* b, std::int64_t stride, const Store& store) {
  constexpr std::int64_t kStep = detail::kWidest * kLanes<T>;
  std::int64_t j = 0;
  for (; j + kStep <= columns; j += kStep) {
    detail::product_panel<T, detail::kWidest, false>(rows, a, b, stride, 0, depth, j, store);
  }
  detail::product_last_panels<T, detail::kWidest / 2, kPart>(columns - j, rows, a, b, stride, depth,
                                                             j, store);
}

}  // namespace maskgrad::ops
