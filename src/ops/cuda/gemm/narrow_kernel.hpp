// Products of few sums, or of few rows: each warp has one chain of each sum of a block. For `.cu`
// files. Internal to src/ops.
#pragma once

#include <maskgrad/ops/cuda/gemm/pieces.hpp>
#include <maskgrad/ops/cuda/gemm/stage.hpp>

namespace maskgrad::ops::cuda_gemm {

/// A block has `rows` rows and 32 columns of sums; a lane has the rows of one column.
template <class T, int rows>
struct NarrowTile {
  static constexpr int kRows = rows, kColumns = 32;
  static constexpr int kMostWarps = kChainsOfGroup;
  static constexpr int kBlocks = sizeof(T) == 8 ? 2 : 3;  // so that registers do for each thread
  static constexpr int kBlocksAtOnce = 8;                 // of a multiprocessor, about
  static constexpr int kDepth = 128 / sizeof(T);          // terms that a warp has in shared memory
  static constexpr int kPack = pack_of<T>(rows);
  static_assert(kTermsOfChain % kDepth == 0 && kRows <= kDepth);
  using Left = StagedTerm<T, rows, kPack>;
  using Right = StagedTerm<T, kColumns, 1>;
  using Sums = T[rows];
};

/// What a warp has in shared memory.
template <class Tile>
struct NarrowStage {
  typename Tile::Left left[Tile::kDepth];
  typename Tile::Right right[Tile::kDepth];
  std::int64_t numbers[Tile::kDepth];  // of the terms
};

template <int depth, class T, class Term>
__device__ void stage_by_warp(const Factor<T>& factor, const Source& source, const Step& step,
                              Term* to) {
  const int lane = static_cast<int>(threadIdx.x);
  if (factor.is_along_terms()) {
    stage<true, depth, 32>(factor, source, step, lane, to);
  } else {
    stage<false, depth, 32>(factor, source, step, lane, to);
  }
}

/// The sums of one chain.
template <class Tile, class T>
__device__ void sum_chain(const Products<T>& f, const Places& at, const Unit& unit,
                          const Chain& chain, NarrowStage<Tile>& staged,
                          typename Tile::Sums& sums) {
  const int lane = static_cast<int>(threadIdx.x);
  const Source left = source_of(f.left, at.left, unit.row),
               right = source_of(f.right, at.right, unit.column);
  for (int p = 0; p < chain.terms; p += Tile::kDepth) {
    const int terms = std::min(int{Tile::kDepth}, chain.terms - p);
    const Step step = {terms, chain.first + chain.begin + p, staged.numbers};
    if (lane < terms) staged.numbers[lane] = chain[p + lane];
    __syncwarp();
    stage_by_warp<Tile::kDepth>(f.left, left, step, staged.left);
    stage_by_warp<Tile::kDepth>(f.right, right, step, staged.right);
    __syncwarp();
    for (int t = 0; t < terms; ++t) {
      const T b = staged.right[t].v[lane];
      detail::unrolled<Tile::kRows / Tile::kPack>([&](auto q) MASKGRAD_INLINE {
        const Pack<T, Tile::kPack> a = staged.left[t].pack_at(q);
        detail::unrolled<Tile::kPack>([&](auto e) MASKGRAD_INLINE {
          T& sum = sums[q * Tile::kPack + e];
          sum = math::multiply_add(a.v[e], b, sum);
        });
      });
    }
  }
}

template <class Tile, class T>
__global__ void __launch_bounds__(32 * Tile::kMostWarps, Tile::kBlocks)
    narrow_kernel(Products<T> f, Cut cut, Results<T> results) {
  MASKGRAD_SHARED(NarrowStage<Tile>, staged, [Tile::kMostWarps]);
  const int warp = static_cast<int>(threadIdx.y), warps = static_cast<int>(blockDim.y),
            lane = static_cast<int>(threadIdx.x);
  // The terms of a chain have been read when its sums take their place.
  const auto sum_group = [&](const Unit& unit, const Places& at, const BatchSum::Group& group) {
    const int chains = chains_of(group.terms);
    __syncthreads();
    if (warp < chains) {
      typename Tile::Sums sums = {};
      sum_chain<Tile>(f, at, unit, chain_of(group, warp), staged[warp], sums);
      detail::unrolled<Tile::kRows>(
          [&](auto r) MASKGRAD_INLINE { staged[warp].right[r].v[lane] = sums[r]; });
    }
    __syncthreads();
    for (int row = warp; row < Tile::kRows; row += warps) {
      T total = 0;
      for (int chain = 0; chain < chains; ++chain) {
        const T sum = staged[chain].right[row].v[lane];
        total = chain == 0 ? sum : total + sum;
      }
      staged[0].right[row].v[lane] = total;
    }
  };
  run_units<Tile::kRows, Tile::kColumns>(f, cut, results, sum_group, [&](int e) -> T& {
    return staged[0].right[e / Tile::kColumns].v[e % Tile::kColumns];
  });
}

}  // namespace maskgrad::ops::cuda_gemm
