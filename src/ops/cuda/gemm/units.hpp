// How the units of a product are launched. For `.cu` files. Internal to src/ops.
#pragma once

#include <maskgrad/ops/cuda/gemm/pieces.hpp>

namespace maskgrad::ops::cuda_gemm {

/// Multiprocessors of a card. No bit depends on it.
inline constexpr std::int64_t kMultiprocessors = 132;

/// Blocks that a card runs at once, or some more.
template <class Tile>
constexpr std::int64_t blocks_at_once() {
  return kMultiprocessors * Tile::kBlocksAtOnce;
}

template <class T>
std::int64_t groups_of(const Products<T>& f) {
  return std::max<std::int64_t>(1, f.sum.groups());
}

template <class Tile, class T>
Cut cut_of(const Products<T>& f, std::int64_t groups_of_piece) {
  const auto parts = [](std::int64_t n, std::int64_t size) { return (n + size - 1) / size; };
  Cut cut = {.pieces = parts(groups_of(f), groups_of_piece),
             .groups_of_piece = groups_of_piece,
             .row_tiles = parts(f.left.all_rows(), Tile::kRows),
             .column_tiles = parts(f.right.all_rows(), Tile::kColumns),
             .units = 0};
  cut.units = f.count * cut.pieces * cut.row_tiles * cut.column_tiles;
  return cut;
}

/// The most groups of a piece, a power of two, with which a card is busy.
template <class Tile, class T>
std::int64_t best_groups_of_piece(const Products<T>& f) {
  const std::int64_t groups = groups_of(f),
                     tiles = std::max<std::int64_t>(1, cut_of<Tile>(f, groups).units),
                     wanted = std::max<std::int64_t>(1, blocks_at_once<Tile>() / tiles);
  return power_of_two(std::max<std::int64_t>(1, groups / wanted));
}

/// Launches `kernel`, whose blocks compute tiles of Tile::kRows by Tile::kColumns sums by
/// run_units(), and what adds up the pieces.
template <class Tile, class T>
void launch_units(const Products<T>& f, std::int64_t groups_of_piece,
                  void (*kernel)(Products<T>, Cut, Results<T>), dim3 block) {
  const std::int64_t sums = f.count * f.size();
  if (sums == 0) return;
  const auto empty = [](std::int64_t size) {
    return Tensor::empty({size}, dtype_of<T>, Device{DeviceType::kCuda});
  };
  const Cut cut = cut_of<Tile>(f, groups_of_piece);
  const bool has_pieces = cut.pieces > 1, has_levels = cut.groups_of_piece > 1;
  // Where each block has levels of its own, there are not many.
  constexpr std::int64_t kMostBlocks = std::int64_t{1} << 30;
  const std::int64_t blocks =
      std::min(cut.units, has_levels ? blocks_at_once<Tile>() : kMostBlocks);
  Tensor pieces, levels;
  Results<T> results = {};
  if (has_pieces) {
    pieces = empty(cut.pieces * sums);
    results.pieces = pieces.device_data<T>();
  }
  if (has_levels) {
    levels = empty(blocks * cut.levels() * Tile::kRows * Tile::kColumns);
    results.levels = levels.device_data<T>();
  }
  cuda::launch({"matmul", dim3(static_cast<unsigned>(blocks)), block}, kernel, f, cut, results);
  if (!has_pieces) return;
  cuda::launch({"matmul", cuda::blocks_for(sums, kSumsOfBlock), dim3(kSumsOfBlock, kThreadsOfSum)},
               add_pieces_kernel<T>, f, cut, results.pieces);
}

}  // namespace maskgrad::ops::cuda_gemm
