#include <maskgrad/ops/cuda/gemm/mma_kernel.hpp>
#include <maskgrad/ops/cuda/gemm/multiply.hpp>
#include <maskgrad/ops/cuda/gemm/tensor_cores.hpp>
#include <maskgrad/ops/cuda/gemm/units.hpp>
#include <maskgrad/ops/math/product_slots.hpp>

namespace maskgrad::ops::cuda_gemm {
namespace {

// 32 x 32 sums by four warps.
template <int parts>
using MiddleTile = MmaTile<parts, 2, 2, 1, 2>;
// 64 x 64 sums by eight warps: with more of them, registers do not do.
template <int parts>
using LargeTile = MmaTile<parts, 2, 4, 2, 2>;

// Calls call(the kernel's tile).
template <class F>
auto with_tile(ProductMath math, bool is_large, F call) {
  if (math == ProductMath::kTf32) return is_large ? call(LargeTile<1>()) : call(MiddleTile<1>());
  return is_large ? call(LargeTile<2>()) : call(MiddleTile<2>());
}

// Kernels for an architecture without these tensor cores multiply nothing.
void check_tensor_cores() {
  constexpr int kNeeded = 80;
  cudaFuncAttributes attributes;
  const auto* const kernel = reinterpret_cast<const void*>(mma_kernel<MiddleTile<1>>);
  cuda::check_cuda(cudaFuncGetAttributes(&attributes, kernel), "matmul");
  const int compiled = attributes.ptxVersion;
  check(compiled >= kNeeded, "matmul",
        "tf32 and tf32x3 need kernels for compute capability 8.0 or above, those for this GPU are "
        "for {}.{}: take float32",
        compiled / 10, compiled % 10);
}

const bool kFilled = kTensorCoresCuda.fill(check_tensor_cores);

}  // namespace

MmaPlan mma_plan_of(const Products<float>& f, ProductMath math) {
  const auto plan = [&](bool is_large) {
    return with_tile(math, is_large, [&](auto tile) -> std::pair<std::int64_t, MmaPlan> {
      using Tile = decltype(tile);
      return {cut_of<Tile>(f, 1).units, {is_large, best_groups_of_piece<Tile>(f)}};
    });
  };
  const auto [units, large] = plan(true);
  return units >= kMultiprocessors ? large : plan(false).second;
}

void multiply_by_tensor_cores(const Products<float>& f, ProductMath math, const MmaPlan& plan) {
  with_tile(math, plan.has_large_tiles, [&](auto tile) {
    using Tile = decltype(tile);
    launch_units<Tile>(f, plan.groups_of_piece, mma_kernel<Tile>, dim3(Tile::kThreads));
  });
}

void multiply_by_tensor_cores(const Products<float>& f, ProductMath math) {
  Products<float> product = f;
  product.left.ones = 0;
  multiply_by_tensor_cores(product, math, mma_plan_of(product, math));
  if (f.left.ones > 0) sum_rows(f);
}

}  // namespace maskgrad::ops::cuda_gemm
