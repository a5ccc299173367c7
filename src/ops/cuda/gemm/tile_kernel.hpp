// Products of matrices in tiles that the threads of a block hold in registers. For `.cu` files.
// Internal to src/ops.
#pragma once

#include <maskgrad/ops/cuda/gemm/pieces.hpp>
#include <maskgrad/ops/cuda/gemm/stage.hpp>

namespace maskgrad::ops::cuda_gemm {

/// A thread has `rows` times `columns` sums of a tile. `depth` terms are in shared memory at once.
/// `blocks`: for how many on a multiprocessor registers must do.
template <class T, int rows, int columns, int depth, int blocks>
struct Tile {
  static constexpr int kThreads = 128, kRowThreads = 8, kColumnThreads = 16, kBlocks = blocks;
  static constexpr int kBlocksAtOnce = kBlocks;
  static constexpr int kRows = rows * kRowThreads, kColumns = columns * kColumnThreads;
  static constexpr int kDepth = depth, kSumsEach = rows * columns;
  static_assert(kTermsOfChain % kDepth == 0);

  static constexpr int kRowPack = pack_of<T>(rows), kColumnPack = pack_of<T>(columns);
  using Left = StagedTerm<T, kRows, kRowPack>;
  using Right = StagedTerm<T, kColumns, kColumnPack>;
  using Sums = T[kSumsEach];
  /// All sums of the tile, in shared memory.
  using Row = Packs<T, kColumns, kColumnPack>;

  /// A warp has four threads over its rows and eight over its columns, so that it reads as much of
  /// one factor as of the other.
  __device__ static int row_thread() { return threadIdx.x / 64 * 4 + threadIdx.x % 32 / 8; }
  __device__ static int column_thread() { return threadIdx.x / 32 % 2 * 8 + threadIdx.x % 8; }
  /// Rows of a pack lie side by side, and packs of all threads follow each other; so do columns.
  __device__ static int row_of(int r) {
    return (r / kRowPack * kRowThreads + row_thread()) * kRowPack + r % kRowPack;
  }
  __device__ static int column_pack(int q) { return q * kColumnThreads + column_thread(); }

  /// Adds the products of a term to the sums.
  __device__ static void multiply(const Left& left, const Right& right, Sums& sums) {
    Pack<T, kRowPack> a[rows / kRowPack];
    Pack<T, kColumnPack> b[columns / kColumnPack];
    detail::unrolled<rows / kRowPack>(
        [&](auto q) MASKGRAD_INLINE { a[q] = left.pack_at(q * kRowThreads + row_thread()); });
    detail::unrolled<columns / kColumnPack>(
        [&](auto q) MASKGRAD_INLINE { b[q] = right.pack_at(column_pack(q)); });
    detail::unrolled<kSumsEach>([&](auto e) MASKGRAD_INLINE {
      constexpr int r = e / columns, c = e % columns;
      sums[e] = math::multiply_add(a[r / kRowPack].v[r % kRowPack],
                                   b[c / kColumnPack].v[c % kColumnPack], sums[e]);
    });
  }
  /// Those of the first `terms` terms.
  __device__ static void multiply(const Left* left, const Right* right, int terms, Sums& sums) {
    constexpr int kAtOnce = 2;
    int p = 0;
    for (; p + kAtOnce <= terms; p += kAtOnce) {
      detail::unrolled<kAtOnce>([&](auto q)
                                    MASKGRAD_INLINE { multiply(left[p + q], right[p + q], sums); });
    }
    for (; p < terms; ++p) multiply(left[p], right[p], sums);
  }

  /// Calls f(a pack of the tile, the first of its sums) for all that this thread has.
  template <class F>
  __device__ static void for_each_pack(Row* tile, Sums& sums, F f) {
    detail::unrolled<kSumsEach / kColumnPack>([&](auto q) MASKGRAD_INLINE {
      constexpr int kOfRow = columns / kColumnPack;
      f(tile[row_of(q / kOfRow)].pack_at(column_pack(q % kOfRow)), sums + q * kColumnPack);
    });
  }
  __device__ static void store(Row* tile, Sums& sums) {
    for_each_pack(tile, sums, [](Pack<T, kColumnPack>& to, const T* from) MASKGRAD_INLINE {
      detail::unrolled<kColumnPack>([&](auto c) MASKGRAD_INLINE { to.v[c] = from[c]; });
    });
  }
  __device__ static void add(Row* tile, Sums& sums) {
    for_each_pack(tile, sums, [](const Pack<T, kColumnPack>& from, T* to) MASKGRAD_INLINE {
      const Pack<T, kColumnPack> before = from;
      detail::unrolled<kColumnPack>([&](auto c) MASKGRAD_INLINE { to[c] = before.v[c] + to[c]; });
    });
  }
};

/// The sums of one chain. `left_along`, `right_along`: is_along_terms() of the factors.
template <class Tile, bool left_along, bool right_along, class T>
__device__ void sum_chain(const Products<T>& f, const Source (&sources)[2], const Chain& chain,
                          typename Tile::Sums& sums) {
  MASKGRAD_SHARED(typename Tile::Left, left, [Tile::kDepth]);
  MASKGRAD_SHARED(typename Tile::Right, right, [Tile::kDepth]);
  MASKGRAD_SHARED(std::int64_t, numbers, [kTermsOfChain]);
  const int thread = static_cast<int>(threadIdx.x);
  if (!left_along || !right_along) {
    if (thread < chain.terms) numbers[thread] = chain[thread];
    __syncthreads();
  }
  detail::unrolled<Tile::kSumsEach>([&](auto e) MASKGRAD_INLINE { sums[e] = 0; });
  for (int p = 0; p < chain.terms; p += Tile::kDepth) {
    const int terms = std::min(int{Tile::kDepth}, chain.terms - p);
    const Step step = {terms, chain.first + chain.begin + p, numbers + p};
    stage<left_along, Tile::kDepth, Tile::kThreads>(f.left, sources[0], step, thread, left);
    stage<right_along, Tile::kDepth, Tile::kThreads>(f.right, sources[1], step, thread, right);
    __syncthreads();
    Tile::multiply(left, right, terms, sums);
    __syncthreads();
  }
}

template <class Tile, bool left_along, bool right_along, class T>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    tile_kernel(Products<T> f, Cut cut, Results<T> results) {
  MASKGRAD_SHARED(typename Tile::Row, tile, [Tile::kRows]);
  MASKGRAD_SHARED(Source, sources, [2]);  // of the factors: registers are scarce
  // The sums of chains gather in the tile, where each thread reads what it wrote.
  const auto sum_group = [&](const Unit& unit, const Places& at, const BatchSum::Group& group) {
    if (threadIdx.x == 0) {
      sources[0] = source_of(f.left, at.left, unit.row);
      sources[1] = source_of(f.right, at.right, unit.column);
    }
    __syncthreads();
    const int chains = chains_of(group.terms);
    typename Tile::Sums sums = {};
    for (int number = 0; number < chains; ++number) {
      sum_chain<Tile, left_along, right_along>(f, sources, chain_of(group, number), sums);
      if (number > 0) Tile::add(tile, sums);
      Tile::store(tile, sums);
    }
    if (chains == 0) Tile::store(tile, sums);
    __syncthreads();
  };
  run_units<Tile::kRows, Tile::kColumns>(f, cut, results, sum_group, [&](int e) -> T& {
    return tile[e / Tile::kColumns].v[e % Tile::kColumns];
  });
}

}  // namespace maskgrad::ops::cuda_gemm
