// Tiles of sums in registers, and panels of them: what block_product() is made of. Internal to
// gemm.
#pragma once

#include <algorithm>
#include <type_traits>
#include <utility>

#include <maskgrad/ops/cpu/gemm/block_product.hpp>
#include <maskgrad/ops/cpu/vector/vector.hpp>

namespace maskgrad::ops::tiles {

using detail::unrolled;

// A vector of c, or, where kPart, its first `last` elements.
template <bool kPart, class T>
[[gnu::always_inline]] inline Vec<T> load(const T* from, std::int64_t last) {
  if constexpr (kPart) return load_first(from, last);
  return Vec<T>::load_unaligned(from);
}
template <bool kPart, class T>
[[gnu::always_inline]] inline void store(const Vec<T>& x, T* to, std::int64_t last) {
  if constexpr (kPart) {
    store_first(x, to, last);
  } else {
    x.store_unaligned(to);
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

// How far something is away, in elements of a and of b.
struct Distance {
  std::int64_t left, right;
};

// A product, as its tiles take it. Terms are `step` apart; after each `inner` of them comes a skip
// besides.
template <class T>
struct Product {
  const T* a;
  std::int64_t row;  // from one row of a to the next
  const T* b;
  std::int64_t terms, of_chain, inner;
  Distance step, skip, chain;
  T* c;
  std::int64_t stride;  // of c
  Use use;
  std::int64_t last;  // columns of the last vector of a panel that is a part
  T* of_b;            // where sums of b go, or nullptr
};

// Rows of vectors: those of a tile of c, or sums that gather.
template <class T>
struct TileRows {
  T* data;
  std::int64_t stride;
};

// Calls f(r, v, whether the vector ends early, its place).
template <int kRows, int kColumns, bool kPart, class T, class F>
[[gnu::always_inline]] inline void for_each_vector(TileRows<T> rows, F f) {
  unrolled<kRows>([&](auto r) MASKGRAD_INLINE {
    unrolled<kColumns>([&](auto v) MASKGRAD_INLINE {
      constexpr bool kEnds = kPart && v == kColumns - 1;
      f(r, v, std::bool_constant<kEnds>(), rows.data + v * kLanes<T>);
    });
    rows.data += rows.stride;
  });
}

// One chain of terms of a tile, whose vectors of c end early where kPartOfC. No branch in the inner
// loop: it would move all sums from registers into memory.
template <int kRows, int kColumns, bool kPart, bool kPartOfC, Use kUse, class T>
[[gnu::always_inline]] inline void run_chain(const Product<T>& f, const T* left, const T* right,
                                             std::int64_t count, TileRows<T> c) {
  const std::int64_t row = f.row, inner = f.inner, last = f.last;
  const Distance step = f.step;
  Vec<T> sums[kRows][kColumns];
  const auto for_each_sum = [&](auto use) MASKGRAD_INLINE {
    for_each_vector<kRows, kColumns, kPartOfC>(
        c, [&](auto r, auto v, auto ends, T* x) MASKGRAD_INLINE { use(sums[r][v], ends, x); });
  };
  for_each_sum([&](Vec<T>& sum, auto ends, const T* x) MASKGRAD_INLINE {
    sum = kUse == Use::kContinue ? load<ends>(x, last) : Vec<T>(T{});
  });
  std::int64_t until_skip = inner;
  for (std::int64_t p = 0; p < count; ++p, left += step.left, right += step.right) {
    if (until_skip-- == 0) {
      left += f.skip.left;
      right += f.skip.right;
      until_skip = inner - 1;
    }
    Vec<T> of_b[kColumns];
    unrolled<kColumns>([&](auto v) MASKGRAD_INLINE {
      constexpr bool kEnds = kPart && v == kColumns - 1;
      of_b[v] = load<kEnds>(right + v * kLanes<T>, last);
    });
    unrolled<kRows>([&](auto r) MASKGRAD_INLINE {
      const Vec<T> of_a(left[r * row]);
      unrolled<kColumns>(
          [&](auto v) MASKGRAD_INLINE { sums[r][v] = multiply_add(of_a, of_b[v], sums[r][v]); });
    });
  }
  // All loads before all stores: a store of a part of a vector stops loads from behind its end.
  if constexpr (kUse == Use::kAdd) {
    for_each_sum([&](Vec<T>& sum, auto ends, const T* x)
                     MASKGRAD_INLINE { sum = load<ends>(x, last) + sum; });
  }
  for_each_sum([&](const Vec<T>& sum, auto ends, T* x)
                   MASKGRAD_INLINE { store<ends>(sum, x, last); });
}

// Never inlined: in a loop over tiles GCC computes the places of all rows before, for which there
// are no registers.
template <int kRows, int kColumns, bool kPart, Use kUse, class T>
[[gnu::noinline]] void run_tile(const Product<T>& f, const T* left, const T* right, T* c) {
  run_chain<kRows, kColumns, kPart, kPart, kUse, T>(f, left, right, f.terms, {c, f.stride});
}

// `blocks` tiles of kRows rows, of one chain each.
template <int kRows, int kColumns, bool kPart, class T>
void run_tiles(std::int64_t blocks, const Product<T>& f, const T* left, const T* right, T* c) {
  const auto run = [&](auto use) MASKGRAD_INLINE {
    for (; blocks > 0; --blocks, left += kRows * f.row, c += kRows * f.stride) {
      run_tile<kRows, kColumns, kPart, use>(f, left, right, c);
    }
  };
  if (f.use == Use::kStore) return run(std::integral_constant<Use, Use::kStore>());
  if (f.use == Use::kAdd) return run(std::integral_constant<Use, Use::kAdd>());
  run(std::integral_constant<Use, Use::kContinue>());
}

// The same of several chains. Their sums gather where no line of a cache is cut.
template <int kRows, int kColumns, bool kPart, class T>
void run_tiles_of_chains(std::int64_t blocks, const Product<T>& f, const T* left, const T* right,
                         T* c) {
  constexpr std::int64_t kWidth = kColumns * kLanes<T>;
  alignas(64) T sums[kRows * kWidth];
  for (; blocks > 0; --blocks, left += kRows * f.row, c += kRows * f.stride) {
    run_chain<kRows, kColumns, kPart, false, Use::kStore, T>(f, left, right, f.of_chain,
                                                             {sums, kWidth});
    Distance at = f.chain;
    for (std::int64_t p = f.of_chain; p < f.terms; p += f.of_chain) {
      run_chain<kRows, kColumns, kPart, false, Use::kAdd, T>(
          f, left + at.left, right + at.right, std::min(f.of_chain, f.terms - p), {sums, kWidth});
      at = {at.left + f.chain.left, at.right + f.chain.right};
    }
    for_each_vector<kRows, kColumns, kPart>(
        TileRows<T>{c, f.stride}, [&](auto r, auto v, auto ends, T* to) MASKGRAD_INLINE {
          const Vec<T> sum = Vec<T>::load_aligned(sums + r * kWidth + v * kLanes<T>);
          store<ends>(f.use == Use::kAdd ? load<ends>(to, f.last) + sum : sum, to, f.last);
        });
  }
}

// `blocks` times `size` <= kMost rows, from row i on.
template <class T, int kMost, int kColumns, bool kPart>
void run_blocks(std::int64_t blocks, std::int64_t size, const Product<T>& f, std::int64_t i,
                std::int64_t j) {
  if (size == kMost) {
    const T *left = f.a + i * f.row, *right = f.b + j;
    T* const c = f.c + i * f.stride + j;
    if (f.terms <= f.of_chain) {
      run_tiles<kMost, kColumns, kPart>(blocks, f, left, right, c);
    } else {
      run_tiles_of_chains<kMost, kColumns, kPart>(blocks, f, left, right, c);
    }
  } else if constexpr (kMost > 1) {
    run_blocks<T, kMost - 1, kColumns, kPart>(blocks, size, f, i, j);
  }
}

// Blocks of as many rows as registers hold, or evenly fewer: the last block of a few rows would
// leave registers unused.
template <int kColumns, bool kPart, class T>
void run_panel(std::int64_t rows, const Product<T>& f, std::int64_t j) {
  constexpr int kMost = rows_beside(kColumns);
  const std::int64_t blocks = (rows + kMost - 1) / kMost, size = (rows + blocks - 1) / blocks;
  const std::int64_t smaller = blocks * size - rows, larger = blocks - smaller;
  run_blocks<T, kMost, kColumns, kPart>(larger, size, f, 0, j);
  if (smaller > 0) {
    run_blocks<T, kMost, kColumns, kPart>(smaller, size - 1, f, larger * size, j);
  }
}

}  // namespace maskgrad::ops::tiles
