// A tile of pairs, of which a block of threads computes something. For `.cu` files. Internal to
// attention.
//
// It has left rows and right rows: queries and keys, or keys and queries.
#pragma once

#include <cstdint>
#include <type_traits>

#include <maskgrad/ops/functors/element.hpp>
#include <maskgrad/ops/functors/unrolled.hpp>
#include <maskgrad/tensor/cuda/warp.hpp>

namespace maskgrad::ops::attention {

/// So many features are beside each other in memory that is shared.
inline constexpr int kFeatures = 64;

__device__ inline int smaller(int a, int b) { return a < b ? a : b; }
__device__ inline int larger(int a, int b) { return a < b ? b : a; }

/// Numbers that are read and written at once, at a multiple of 16 bytes.
template <class T>
inline constexpr int kOfPack = 16 / static_cast<int>(sizeof(T));
template <class T>
struct alignas(16) Pack {
  T x[kOfPack<T>];
};
template <class T>
__device__ Pack<T> read_pack(const T* from) {
  return *reinterpret_cast<const Pack<T>*>(from);
}
template <class T>
__device__ void write_pack(const Pack<T>& pack, T* to) {
  *reinterpret_cast<Pack<T>*>(to) = pack;
}
/// n numbers, whole packs.
template <int n, class T>
__device__ void read_packs(const T* from, T (&to)[n]) {
  detail::unrolled<n / kOfPack<T>>([&](auto p) MASKGRAD_INLINE {
    const Pack<T> pack = read_pack(from + p * kOfPack<T>);
    detail::unrolled<kOfPack<T>>([&](auto i)
                                     MASKGRAD_INLINE { to[p * kOfPack<T> + i] = pack.x[i]; });
  });
}

/// A tile of `left` x `right` pairs, and how many of them a thread has.
template <class Number, int left, int right>
struct TileShape {
  using T = Number;
  static constexpr int kLeft = left, kRight = right;
  static constexpr int kRows = left == 64 ? 8 : kOfPack<T>, kColumns = 4;  // of a thread
  static constexpr int kPairs = kRows * kColumns;
  static constexpr int kAcross = right / kColumns;  // threads beside each other
  static constexpr int kThreads = kAcross * (left / kRows);
  // Blocks that a multiprocessor has at least, so that a thread may have all registers that it can.
  static constexpr int kBlocks = 256 / kThreads;
  static constexpr int kSlice = 128 / static_cast<int>(sizeof(T));  // terms that are loaded at once
  static constexpr int kWidth = kAcross * kColumns;  // features of which sums are taken at once
  static constexpr int kPad = kOfPack<T>;

  /// The first of this thread's left rows, and of its right rows or features.
  __device__ static int row() { return static_cast<int>(threadIdx.x) / kAcross * kRows; }
  __device__ static int column() { return static_cast<int>(threadIdx.x) % kAcross * kColumns; }
};

/// A number for each pair of this thread, or for each of its left rows with each of its features.
template <class S>
using NumbersOfPairs = typename S::T[S::kPairs];
/// Calls f(i, j, n) for all of them: left row i, right row or feature j, number n. Written out, so
/// that what is indexed by n lives in registers.
template <class S, class F>
__device__ void for_each_pair(F f) {
  detail::unrolled<S::kPairs>([&](auto n) MASKGRAD_INLINE {
    f(std::integral_constant<int, n / S::kColumns>(),
      std::integral_constant<int, n % S::kColumns>(), n);
  });
}

/// A table of a tile's pairs, which stand as TileMemory::at() says.
template <class S>
using Table = typename S::T[S::kRight * S::kLeft];

/// What the threads of a block share.
template <class S>
struct TileMemory {
  using T = typename S::T;
  static constexpr int kLeftStride = S::kLeft + S::kPad, kRightStride = S::kRight + S::kPad;

  alignas(16) T left[kFeatures * kLeftStride];    // [features][left]
  alignas(16) T right[S::kSlice * kRightStride];  // [features][right], or [right][kWidth]
  alignas(16) Table<S> table;

  /// The memory of the left rows as a table. multiply() reads and writes it.
  __device__ Table<S>& second_table() { return reinterpret_cast<Table<S>&>(left); }

  /// Where a table has a pair. Rows of it are turned so that neither columns nor rows of threads
  /// collide in memory.
  static_assert(sizeof(Table<S>) <= sizeof(T) * kFeatures * kLeftStride);
  __device__ static int at(int l, int r) {
    constexpr int kPacks = 8;
    return r * S::kLeft + ((l / kOfPack<T>)^(r / S::kColumns % kPacks)) * kOfPack<T> +
           l % kOfPack<T>;
  }
};

/// Rows of a tensor that begin `stride` apart: `count` of them, from `first` on. `packs`: whether
/// each begins at a multiple of 16 bytes, and has whole packs of features.
template <class T>
struct Rows {
  const T* first;
  std::int64_t stride;
  int count;
  bool packs;

  /// 0 beyond the rows and the features that there are.
  __device__ T at(int row, int feature, int features) const {
    return row < count && feature < features ? first[row * stride + feature] : T{0};
  }
  __device__ Pack<T> pack_at(int row, int feature, int features) const {
    if (row >= count || feature >= features) return {};
    return read_pack(first + row * stride + feature);
  }
};
/// The same times a number. What is 0 stays 0, and not -0.
template <class T>
struct ScaledRows {
  Rows<T> rows;
  T factor;
  int count = rows.count;
  bool packs = rows.packs;

  __device__ T at(int row, int feature, int features) const {
    return math::multiply_add(factor, rows.at(row, feature, features), T{0});
  }
  __device__ Pack<T> pack_at(int row, int feature, int features) const {
    Pack<T> pack = rows.pack_at(row, feature, features);
    for (T& x : pack.x) x = math::multiply_add(factor, x, T{0});
    return pack;
  }
};

/// Writes row i of this thread's features, of which `count` exist, to `to`. `packs`: as of Rows.
template <class S, int i>
__device__ void write_row(const NumbersOfPairs<S>& x, std::integral_constant<int, i>, int count,
                          bool packs, typename S::T* to) {
  using T = typename S::T;
  constexpr int kFirst = i * S::kColumns;
  if (packs) {
    detail::unrolled<S::kColumns / kOfPack<T>>([&](auto p) MASKGRAD_INLINE {
      Pack<T> pack;
      detail::unrolled<kOfPack<T>>(
          [&](auto j) MASKGRAD_INLINE { pack.x[j] = x[kFirst + p * kOfPack<T> + j]; });
      if (p * kOfPack<T> < count) write_pack(pack, to + p * kOfPack<T>);
    });
  } else {
    detail::unrolled<S::kColumns>([&](auto j) MASKGRAD_INLINE {
      if (j < count) to[j] = x[kFirst + j];
    });
  }
}

/// Writes this thread's pairs to a table.
template <class S>
__device__ void write_table(const NumbersOfPairs<S>& x, Table<S>& table) {
  using T = typename S::T;
  detail::unrolled<S::kColumns>([&](auto j) MASKGRAD_INLINE {
    detail::unrolled<S::kRows / kOfPack<T>>([&](auto p) MASKGRAD_INLINE {
      Pack<T> pack;
      detail::unrolled<kOfPack<T>>(
          [&](auto i) MASKGRAD_INLINE { pack.x[i] = x[(p * kOfPack<T> + i) * S::kColumns + j]; });
      write_pack(pack, table + TileMemory<S>::at(S::row() + p * kOfPack<T>, S::column() + j));
    });
  });
}

/// Reads them.
template <class S>
__device__ void read_table(const Table<S>& table, NumbersOfPairs<S>& x) {
  using T = typename S::T;
  detail::unrolled<S::kColumns>([&](auto j) MASKGRAD_INLINE {
    detail::unrolled<S::kRows / kOfPack<T>>([&](auto p) MASKGRAD_INLINE {
      const Pack<T> pack =
          read_pack(table + TileMemory<S>::at(S::row() + p * kOfPack<T>, S::column() + j));
      detail::unrolled<kOfPack<T>>(
          [&](auto i) MASKGRAD_INLINE { x[(p * kOfPack<T> + i) * S::kColumns + j] = pack.x[i]; });
    });
  });
}
/// Calls f(left, right, place in a table) for this thread's pairs, in a loop: for what takes many
/// instructions.
template <class S, class F>
__device__ void for_each_pair_of_tile(F f) {
  for (int n = 0; n < S::kPairs; ++n) {
    const int left = S::row() + n / S::kColumns, right = S::column() + n % S::kColumns;
    f(left, right, TileMemory<S>::at(left, right));
  }
}

}  // namespace maskgrad::ops::attention
