// Products of a tile of rows with a tile of others, in shared memory and registers. For `.cu`
// files. Internal to attention.
//
// A block of threads computes a table of all pairs of left and right rows, each thread a part of
// it; then sums over the right rows of the table times something of those rows. Every sum has the
// order that it has on the CPU (cpu/gemm/sum_products.hpp): chains of 64 terms, eight chains one by
// one, groups in a tree.
#pragma once

#include <maskgrad/ops/cpu/gemm/sum_order.hpp>
#include <maskgrad/ops/cuda/attention/tile.hpp>
#include <maskgrad/ops/cuda/attention/tree_sums.hpp>

namespace maskgrad::ops::attention {

inline constexpr int kOfChain = kTermsOfChain, kOfGroup = kChainsOfGroup * kTermsOfChain;  // terms
static_assert(kFeatures == kOfChain);

// ---- tables of pairs

// to[feature][row], rows `stride` apart, for features [first, first + count) and n rows. Threads
// take eight features of a row beside each other: those are read at once, and written to places
// that do not collide.
template <int n, int threads, class T, class R>
__device__ void load_columns(const R& rows, int first, int count, int features, T* to, int stride) {
  constexpr int kBeside = 8, kPacks = kBeside / kOfPack<T>;
  const int thread = static_cast<int>(threadIdx.x);
  if (rows.packs) {
    for (int f = thread % kPacks * kOfPack<T>; f < count; f += kBeside) {
      for (int row = thread / kPacks; row < n; row += threads / kPacks) {
        const Pack<T> pack = rows.pack_at(row, first + f, features);
        detail::unrolled<kOfPack<T>>(
            [&](auto i) MASKGRAD_INLINE { to[(f + i) * stride + row] = pack.x[i]; });
      }
    }
    return;
  }
  for (int f = thread % kBeside; f < count; f += kBeside) {
    for (int row = thread / kBeside; row < n; row += threads / kBeside) {
      to[f * stride + row] = rows.at(row, first + f, features);
    }
  }
}

// sums += the products of features of left and of right rows; first: of the features on the left.
template <class S>
__device__ void multiply_slice(const TileMemory<S>& m, int first, int count,
                               NumbersOfPairs<S>& sums) {
  using T = typename S::T;
  const T* left = m.left + first * TileMemory<S>::kLeftStride + S::row();
  const T* right = m.right + S::column();
  for (int f = 0; f < count; ++f) {
    T x[S::kRows], y[S::kColumns];
    read_packs(left, x);
    read_packs(right, y);
    for_each_pair<S>([&](auto i, auto j, auto n)
                         MASKGRAD_INLINE { sums[n] = math::multiply_add(x[i], y[j], sums[n]); });
    left += TileMemory<S>::kLeftStride;
    right += TileMemory<S>::kRightStride;
  }
}

// sums = one chain, of features from `first` on.
template <class S, class L, class R>
__device__ void multiply_chain(TileMemory<S>& m, const L& left, const R& right, int first,
                               int features, bool has_left, NumbersOfPairs<S>& sums) {
  const int count = smaller(features - first, kOfChain);
  for_each_pair<S>([&](auto, auto, auto n) MASKGRAD_INLINE { sums[n] = 0; });
  for (int f = 0; f < count; f += S::kSlice) {
    const int of_slice = smaller(count - f, S::kSlice);
    __syncthreads();
    if (f == 0 && !has_left) {
      load_columns<S::kLeft, S::kThreads>(left, first, count, features, m.left,
                                          TileMemory<S>::kLeftStride);
    }
    load_columns<S::kRight, S::kThreads>(right, first + f, of_slice, features, m.right,
                                         TileMemory<S>::kRightStride);
    __syncthreads();
    const bool has_pairs = S::row() < left.count && S::column() < right.count;
    if (has_pairs) multiply_slice<S>(m, f, of_slice, sums);
  }
}

/// products: of each pair the sum over features of the left row times the right row; 0 where one of
/// them does not exist. `kLong`: for more than kOfChain features. Where there are more than
/// kOfGroup, `trees` has the memory of a TreeSums. `has_left`: the left rows are those of the call
/// before, and nobody wrote to m.left since. Begins with a barrier.
template <bool kLong, class S, class L, class R>
MASKGRAD_INLINE __device__ inline void multiply(TileMemory<S>& m, const L& left, const R& right,
                                                int features, typename S::T* trees,
                                                NumbersOfPairs<S>& products,
                                                bool has_left = false) {
  if (features == 0) __syncthreads();
  multiply_chain<S>(m, left, right, 0, features, has_left && !kLong, products);
  if constexpr (kLong) {
    NumbersOfPairs<S> chain;
    TreeSums<typename S::T, S::kPairs> tree(trees);
    for (int first = kOfChain; first < features; first += kOfChain) {
      multiply_chain<S>(m, left, right, first, features, false, chain);
      const bool starts_group = first % kOfGroup == 0;
      if (starts_group) tree.add(static_cast<std::uint32_t>(first / kOfGroup - 1), products);
      for_each_pair<S>([&](auto, auto, auto n) MASKGRAD_INLINE {
        products[n] = starts_group ? chain[n] : products[n] + chain[n];
      });
    }
    if (features > kOfGroup) {
      tree.add(static_cast<std::uint32_t>((features - 1) / kOfGroup), products);
      tree.finish(products);
    }
  }
}

// ---- sums over the table

// to[row][column] for kSlice rows from `first` on and columns of features from `feature` on; 0
// where there are none. Returns whether some number is Inf or NaN.
template <class S>
__device__ bool load_rows(const Rows<typename S::T>& rows, int first, int feature, int features,
                          typename S::T* to) {
  using T = typename S::T;
  T sum = 0;  // 0 times Inf is NaN, and stays
  const int thread = static_cast<int>(threadIdx.x);
  if (rows.packs) {
    constexpr int kPacks = S::kWidth / kOfPack<T>;
    for (int i = thread; i < S::kSlice * kPacks; i += S::kThreads) {
      const Pack<T> pack =
          rows.pack_at(first + i / kPacks, feature + i % kPacks * kOfPack<T>, features);
      detail::unrolled<kOfPack<T>>(
          [&](auto p) MASKGRAD_INLINE { sum = math::multiply_add(pack.x[p], T{0}, sum); });
      write_pack(pack, to + i * kOfPack<T>);
    }
  } else {
    for (int i = thread; i < S::kSlice * S::kWidth; i += S::kThreads) {
      const T x = rows.at(first + i / S::kWidth, feature + i % S::kWidth, features);
      sum = math::multiply_add(x, T{0}, sum);
      to[i] = x;
    }
  }
  return sum != T{0};
}

// sums += the right rows of the table from `first` on times the loaded rows. Rows come in fours,
// the last of which may not exist: they are 0. Where kCareful, only terms are added of which
// kept(left, right) is true.
template <bool kCareful, class S, class Kept>
__device__ void add_slice(const TileMemory<S>& m, int first, int count, Kept kept,
                          NumbersOfPairs<S>& sums) {
  using T = typename S::T;
  constexpr int kPacks = S::kRows / kOfPack<T>;
  for (int four = 0; four < count; four += S::kColumns) {
    const T* table[kPacks];  // of the first row; the next stand kLeft apart
    detail::unrolled<kPacks>([&](auto p) MASKGRAD_INLINE {
      table[p] = m.table + m.at(S::row() + p * kOfPack<T>, first + four);
    });
    detail::unrolled<S::kColumns>([&](auto r) MASKGRAD_INLINE {
      Pack<T> x[kPacks];
      detail::unrolled<kPacks>([&](auto p)
                                   MASKGRAD_INLINE { x[p] = read_pack(table[p] + r * S::kLeft); });
      T y[S::kColumns];
      read_packs(m.right + (four + r) * S::kWidth + S::column(), y);
      for_each_pair<S>([&](auto i, auto j, auto n) MASKGRAD_INLINE {
        if (kCareful && !kept(S::row() + i, first + four + r)) return;
        sums[n] = math::multiply_add(x[i / kOfPack<T>].x[i % kOfPack<T>], y[j], sums[n]);
      });
    });
  }
}

/// sums: of each left row and feature the sum over right rows of the table times `rows`, one chain;
/// of `left` left rows, and of features from `feature` on. The table has 0 for rows that do not
/// exist. Where rows hold an Inf or a NaN, only the terms are added of which kept(left, right) is
/// true: 0 times such a number would not be 0. Begins with a barrier.
template <class S, class Kept>
__device__ void sum_products(TileMemory<S>& m, int left, const Rows<typename S::T>& rows,
                             int feature, int features, Kept kept, NumbersOfPairs<S>& sums) {
  for_each_pair<S>([&](auto, auto, auto n) MASKGRAD_INLINE { sums[n] = 0; });
  const bool has_sums = S::row() < left && feature + S::column() < features;
  for (int first = 0; first < rows.count; first += S::kSlice) {
    const int count = smaller(rows.count - first, S::kSlice);
    __syncthreads();
    const bool is_wild = __syncthreads_or(load_rows<S>(rows, first, feature, features, m.right));
    if (!has_sums) continue;
    if (is_wild) {
      add_slice<true>(m, first, count, kept, sums);
    } else {
      add_slice<false>(m, first, count, kept, sums);
    }
  }
}

}  // namespace maskgrad::ops::attention
