#include <algorithm>
#include <utility>

#include <maskgrad/ops/block_product.hpp>
#include <maskgrad/ops/vector.hpp>

namespace maskgrad::ops {
namespace {

using detail::unrolled;

// What the sums of row i from column j on start with, and what becomes of them. Where kPart, only
// the first `last` columns of the vector exist. Always inlined and without a branch: otherwise GCC
// moves all sums from registers into memory, and the product takes twice the time.
template <bool kPart, class T>
[[gnu::always_inline]] inline Vec<T> start(const StoreTo<T>&, std::int64_t, std::int64_t,
                                           std::int64_t) {
  return Vec<T>(T{});
}
template <bool kPart, class T>
[[gnu::always_inline]] inline Vec<T> start(const AddTo<T>& to, std::int64_t i, std::int64_t j,
                                           std::int64_t last) {
  const T* from = to.c + i * to.stride + j;
  if constexpr (kPart) return load_first(from, last);
  return Vec<T>::load_unaligned(from);
}
template <bool kPart, class T, class Store>
[[gnu::always_inline]] inline void finish(const Store& store, std::int64_t i, std::int64_t j,
                                          std::int64_t last, const Vec<T>& sums) {
  T* to = store.c + i * store.stride + j;
  if constexpr (kPart) {
    store_first(sums, to, last);
  } else {
    sums.store_unaligned(to);
  }
}

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
      sums[r][c] = start<decltype(part(c))::value>(store, i + r, j + c * kLanes<T>, last);
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
                             MASKGRAD_INLINE { sums[r][c] = multiply_add(x, row[c], sums[r][c]); });
    });
  }
  unrolled<kRows>([&](auto r) MASKGRAD_INLINE {
    unrolled<kColumns>([&](auto c) MASKGRAD_INLINE {
      finish<decltype(part(c))::value>(store, i + r, j + c * kLanes<T>, last, sums[r][c]);
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

}  // namespace

template <bool kPart, class T, class Store>
void block_product(std::int64_t rows, std::int64_t columns, std::int64_t depth, const Strided<T>& a,
                   const T* b, std::int64_t stride, const Store& store) {
  constexpr std::int64_t kStep = kWidest * kLanes<T>;
  std::int64_t j = 0;
  for (; j + kStep <= columns; j += kStep) {
    product_panel<T, kWidest, false>(rows, a, b, stride, 0, depth, j, store);
  }
  product_last_panels<T, kWidest / 2, kPart>(columns - j, rows, a, b, stride, depth, j, store);
}

template void block_product<false>(std::int64_t, std::int64_t, std::int64_t, const Strided<float>&,
                                   const float*, std::int64_t, const StoreTo<float>&);
template void block_product<true>(std::int64_t, std::int64_t, std::int64_t, const Strided<float>&,
                                  const float*, std::int64_t, const StoreTo<float>&);
template void block_product<false>(std::int64_t, std::int64_t, std::int64_t, const Strided<float>&,
                                   const float*, std::int64_t, const AddTo<float>&);
template void block_product<true>(std::int64_t, std::int64_t, std::int64_t, const Strided<float>&,
                                  const float*, std::int64_t, const AddTo<float>&);
template void block_product<false>(std::int64_t, std::int64_t, std::int64_t, const Strided<double>&,
                                   const double*, std::int64_t, const StoreTo<double>&);
template void block_product<true>(std::int64_t, std::int64_t, std::int64_t, const Strided<double>&,
                                  const double*, std::int64_t, const StoreTo<double>&);
template void block_product<false>(std::int64_t, std::int64_t, std::int64_t, const Strided<double>&,
                                   const double*, std::int64_t, const AddTo<double>&);
template void block_product<true>(std::int64_t, std::int64_t, std::int64_t, const Strided<double>&,
                                  const double*, std::int64_t, const AddTo<double>&);

}  // namespace maskgrad::ops
