// Products of float32 matrices by tensor cores, in tiles. The order of sums is that of float32:
// chains of 64 terms, then groups, then a tree (sum_order.hpp). Within a chain, eight terms are
// added at once. For `.cu` files. Internal to src/ops.
#pragma once

#include <cmath>
#include <limits>

#include <maskgrad/ops/cuda/gemm/mma.hpp>
#include <maskgrad/ops/cuda/gemm/pieces.hpp>
#include <maskgrad/ops/cuda/gemm/stage.hpp>

namespace maskgrad::ops::cuda_gemm {

/// One term of `rows` rows of a factor, as TF32 numbers. Part 0 is the number rounded, and part 1,
/// where there are two, what the rounding took away, rounded. With eight empty places at the end,
/// what a warp reads at once lies in different banks.
template <int rows, int parts>
struct Tf32Term {
  static constexpr int kRows = rows, kPack = 4;
  static constexpr float kMissing = 0;
  alignas(16) std::uint32_t bits[parts][rows + 8];

  __device__ void put(int row, float x) {
    bits[0][row] = to_tf32(x);
    if constexpr (parts == 2) bits[1][row] = to_tf32(x - as_float(bits[0][row]));
  }
  __device__ void put(int row, const Pack<float, kPack>& x) {
    detail::unrolled<kPack>([&](auto e) MASKGRAD_INLINE { put(row + e, x.v[e]); });
  }
};

/// `warp_rows` times `warp_columns` warps, each of which has `rows` times `columns` fragments of
/// 16 x 8 sums. `parts` of each number are multiplied: 1 for tf32, 2 for tf32x3.
template <int parts, int warp_rows, int warp_columns, int rows, int columns>
struct MmaTile {
  static constexpr int kParts = parts;
  static constexpr int kThreads = 32 * warp_rows * warp_columns, kBlocks = 512 / kThreads;
  static constexpr int kBlocksAtOnce = kBlocks;  // of a multiprocessor, about
  static constexpr int kRows = 16 * rows * warp_rows, kColumns = 8 * columns * warp_columns;
  static constexpr int kDepth = 32;  // terms in shared memory
  static constexpr int kTermsAtOnce = 8;
  static_assert(kTermsOfChain % kDepth == 0 && kDepth % kTermsAtOnce == 0);

  using Left = Tf32Term<kRows, parts>;
  using Right = Tf32Term<kColumns, parts>;
  struct Sums {
    float v[rows][columns][4];
  };
  /// The terms that are multiplied, or the sums when all are.
  union Memory {
    struct {
      Left left[kDepth];
      Right right[kDepth];
    } terms;
    float sums[kRows][kColumns + 8];
  };

  /// Calls f(r, c, e) for each sum of this thread.
  template <class F>
  __device__ static void for_each_sum(F f) {
    detail::unrolled<rows * columns * 4>(
        [&](auto i) MASKGRAD_INLINE { f(i / (columns * 4), i / 4 % columns, i % 4); });
  }

  /// Adds the products of the first `terms` terms in memory: those of first parts to `big`, those
  /// of a first and a second part to `small`. Terms behind them, up to eight, are 0.
  __device__ static void multiply(const Memory& memory, int terms, Sums& big, Sums& small) {
    for (int p = 0; p < terms; p += kTermsAtOnce) {
      std::uint32_t a[parts][rows][4], b[parts][columns][2];
      const int term = p + lane() % 4;
      detail::unrolled<parts>([&](auto part) MASKGRAD_INLINE {
        detail::unrolled<rows * 4>([&](auto i) MASKGRAD_INLINE {
          constexpr int r = i / 4, e = i % 4;
          a[part][r][e] = memory.terms.left[term + e / 2 * 4].bits[part][first_row(r) + e % 2 * 8];
        });
        detail::unrolled<columns * 2>([&](auto i) MASKGRAD_INLINE {
          constexpr int c = i / 2, e = i % 2;
          b[part][c][e] = memory.terms.right[term + e * 4].bits[part][first_column(c) + lane() / 4];
        });
      });
      detail::unrolled<rows * columns>([&](auto i) MASKGRAD_INLINE {
        constexpr int r = i / columns, c = i % columns;
        multiply_fragments(big.v[r][c], a[0][r], b[0][c]);
        if constexpr (parts == 2) {
          multiply_fragments(small.v[r][c], a[1][r], b[0][c]);
          multiply_fragments(small.v[r][c], a[0][r], b[1][c]);
        }
      });
    }
  }

  __device__ static void store(Memory& memory, const Sums& sums) {
    for_each_sum([&](auto r, auto c, auto e) MASKGRAD_INLINE {
      const int column = first_column(c) + lane() % 4 * 2 + e % 2;
      memory.sums[first_row(r) + e / 2 * 8][column] = sums.v[r][c][e];
    });
  }

 private:
  __device__ static int lane() { return static_cast<int>(threadIdx.x % 32); }
  __device__ static int warp() { return static_cast<int>(threadIdx.x / 32); }
  // Of fragment r: the row of this lane's first sums.
  __device__ static int first_row(int r) {
    return (warp() / warp_columns * rows + r) * 16 + lane() / 4;
  }
  // Of fragment c: the column of the first lane's first sum.
  __device__ static int first_column(int c) { return (warp() % warp_columns * columns + c) * 8; }
};

template <int depth, int threads, class Term>
__device__ void stage_by_block(const Factor<float>& factor, const Source& source, const Step& step,
                               Term* to) {
  const int thread = static_cast<int>(threadIdx.x);
  if (factor.is_along_terms()) {
    stage<true, depth, threads>(factor, source, step, thread, to);
  } else {
    stage<false, depth, threads>(factor, source, step, thread, to);
  }
}

/// The sums of one chain. Where those of the first parts are infinite or NaN they are the result:
/// the second part of an infinite number is NaN.
template <class Tile>
__device__ typename Tile::Sums sum_chain(const Products<float>& f, const Source (&sources)[2],
                                         const Chain& chain, std::int64_t* numbers,
                                         typename Tile::Memory& memory) {
  typename Tile::Sums big = {}, small = {};
  const int thread = static_cast<int>(threadIdx.x);
  if (thread < chain.terms) numbers[thread] = chain[thread];
  __syncthreads();
  for (int p = 0; p < chain.terms; p += Tile::kDepth) {
    const int terms = std::min(int{Tile::kDepth}, chain.terms - p);
    const Step step = {terms, chain.first + chain.begin + p, numbers + p};
    stage_by_block<Tile::kDepth, Tile::kThreads>(f.left, sources[0], step, memory.terms.left);
    stage_by_block<Tile::kDepth, Tile::kThreads>(f.right, sources[1], step, memory.terms.right);
    __syncthreads();
    Tile::multiply(memory, terms, big, small);
    __syncthreads();
  }
  if constexpr (Tile::kParts == 2) {
    Tile::for_each_sum([&](auto r, auto c, auto e) MASKGRAD_INLINE {
      float& sum = big.v[r][c][e];
      if (std::abs(sum) <= std::numeric_limits<float>::max()) sum += small.v[r][c][e];
    });
  }
  return big;
}

template <class Tile>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    mma_kernel(Products<float> f, Cut cut, Results<float> results) {
  MASKGRAD_SHARED(typename Tile::Memory, memory, [1]);
  MASKGRAD_SHARED(std::int64_t, numbers, [kTermsOfChain]);
  MASKGRAD_SHARED(Source, sources, [2]);  // of the factors: registers are scarce
  const auto sum_group = [&](const Unit& unit, const Places& at, const BatchSum::Group& group) {
    if (threadIdx.x == 0) {
      sources[0] = source_of(f.left, at.left, unit.row);
      sources[1] = source_of(f.right, at.right, unit.column);
    }
    typename Tile::Sums total = {};
    const int chains = chains_of(group.terms);
    for (int number = 0; number < chains; ++number) {
      const auto sums = sum_chain<Tile>(f, sources, chain_of(group, number), numbers, memory[0]);
      Tile::for_each_sum([&](auto r, auto c, auto e) MASKGRAD_INLINE {
        const float sum = sums.v[r][c][e];
        total.v[r][c][e] = number == 0 ? sum : total.v[r][c][e] + sum;
      });
    }
    Tile::store(memory[0], total);
    __syncthreads();
  };
  run_units<Tile::kRows, Tile::kColumns>(f, cut, results, sum_group, [&](int e) -> float& {
    return memory[0].sums[e / Tile::kColumns][e % Tile::kColumns];
  });
}

}  // namespace maskgrad::ops::cuda_gemm
