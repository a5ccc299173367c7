#include <maskgrad/ops/cuda/gemm/multiply.hpp>
#include <maskgrad/ops/cuda/gemm/narrow_kernel.hpp>
#include <maskgrad/ops/cuda/gemm/tile_kernel.hpp>
#include <maskgrad/ops/cuda/gemm/units.hpp>

namespace maskgrad::ops::cuda_gemm {
namespace {

// As many blocks on a multiprocessor as leave each thread the registers that it needs.
template <class T>
using MiddleTile = Tile<T, 4, 4, 128 / sizeof(T), sizeof(T) == 4 ? 4 : 3>;
template <class T>
using LargeTile = Tile<T, 8, 32 / sizeof(T), 64 / sizeof(T), sizeof(T) == 4 ? 3 : 2>;

// Calls call(the kernel's tile, its function, threads of a block).
template <class T, class F>
auto with_kernel(const Products<T>& f, Kernel kernel, F call) {
  const auto narrow = [&](auto tile) {
    using Tile = decltype(tile);
    const int chains = chains_of(f.sum.group(0).terms);  // of no group there are more
    return call(tile, narrow_kernel<Tile, T>, dim3(32, static_cast<unsigned>(std::max(1, chains))));
  };
  const auto tiled = [&](auto tile) {
    using Tile = decltype(tile);
    const auto run = [&](auto function) { return call(tile, function, dim3(Tile::kThreads)); };
    if (f.left.is_along_terms()) {
      return f.right.is_along_terms() ? run(tile_kernel<Tile, true, true, T>)
                                      : run(tile_kernel<Tile, true, false, T>);
    }
    return f.right.is_along_terms() ? run(tile_kernel<Tile, false, true, T>)
                                    : run(tile_kernel<Tile, false, false, T>);
  };
  switch (kernel) {
    case Kernel::kOneRow:
      return narrow(NarrowTile<T, 1>());
    case Kernel::kFourRows:
      return narrow(NarrowTile<T, 4>());
    case Kernel::kEightRows:
      return narrow(NarrowTile<T, 8>());
    case Kernel::kMiddle:
      return tiled(MiddleTile<T>());
    default:
      return tiled(LargeTile<T>());
  }
}

// Whether the card is busy with `kernel`, and the time that it takes then, in some unit: that of a
// large tile is 2 for each sum, those that it has in vain included.
struct Cost {
  bool is_busy;
  std::int64_t time;
};
template <class T>
Cost cost_of(const Products<T>& f, Kernel kernel) {
  return with_kernel(f, kernel, [&](auto tile, auto, dim3) -> Cost {
    using Tile = decltype(tile);
    const Cut cut = cut_of<Tile>(f, 1);
    const std::int64_t sums = cut.units / cut.pieces * Tile::kRows * Tile::kColumns;
    if (kernel == Kernel::kLarge) return {cut.units >= kMultiprocessors, 2 * sums};
    if (kernel == Kernel::kMiddle) return {cut.units >= 2 * kMultiprocessors, 3 * sums};
    return {true, 6 * sums};
  });
}

template <class T>
Kernel kernel_for(const Products<T>& f) {
  const std::int64_t rows = f.left.all_rows();
  if (rows <= 8)
    return rows > 4 ? Kernel::kEightRows : rows > 1 ? Kernel::kFourRows : Kernel::kOneRow;
  Kernel best = Kernel::kEightRows;
  std::int64_t least = cost_of(f, best).time;
  for (const Kernel kernel : {Kernel::kMiddle, Kernel::kLarge}) {
    const Cost cost = cost_of(f, kernel);
    if (cost.is_busy && cost.time <= least) {
      best = kernel;
      least = cost.time;
    }
  }
  return best;
}

// Whether a row of ones has tiles of its own, whose other rows are computed in vain.
template <class T>
bool ones_have_tiles(const Products<T>& f, const Plan& plan) {
  if (plan.kernel != Kernel::kMiddle && plan.kernel != Kernel::kLarge) return false;
  return with_kernel(f, plan.kernel, [&](auto tile, auto, dim3) {
    return f.left.ones > 0 && f.left.rows % decltype(tile)::kRows == 0;
  });
}

template <class T>
Products<T> transposed(Products<T> f) {
  std::swap(f.left, f.right);
  std::swap(f.walk.steps[0], f.walk.steps[1]);
  f.is_transposed = !f.is_transposed;
  return f;
}

template <class T>
void launch_kernels(const Products<T>& f, const Plan& plan) {
  with_kernel(f, plan.kernel, [&](auto tile, auto kernel, dim3 block) {
    launch_units<decltype(tile)>(f, plan.groups_of_piece, kernel, block);
  });
}

}  // namespace

template <class T>
Plan plan_of(const Products<T>& f) {
  const Kernel kernel = kernel_for(f);
  return with_kernel(f, kernel, [&](auto tile, auto, dim3) -> Plan {
    return {kernel, best_groups_of_piece<decltype(tile)>(f)};
  });
}

template <class T>
void multiply(const Products<T>& f, const Plan& plan) {
  if (!ones_have_tiles(f, plan)) return launch_kernels(f, plan);
  Products<T> product = f, sums = f;
  product.left.ones = 0;
  sums.left.rows = 0;
  launch_kernels(product, plan);
  launch_kernels(sums, plan_of(sums));
}

template <class T>
void multiply(const Products<T>& f) {
  constexpr std::int64_t kFewColumns = 16;
  const std::int64_t columns = f.right.all_rows();
  const bool transposes = columns <= kFewColumns && columns < f.left.all_rows();
  const Products<T> g = transposes ? transposed(f) : f;
  multiply(g, plan_of(g));
}

template Plan plan_of(const Products<float>&);
template Plan plan_of(const Products<double>&);
template void multiply(const Products<float>&, const Plan&);
template void multiply(const Products<double>&, const Plan&);
template void multiply(const Products<float>&);
template void multiply(const Products<double>&);

}  // namespace maskgrad::ops::cuda_gemm
